import { bytes16, count, json, keyId, scope, text, textList, time, timeBase, token } from './fields.ts'
import { type FieldTable, createRecordCodec, optional, recordField } from './record.ts'
import type {
  AccessContent,
  IdentityContent,
  LoginContent,
  RefreshContent,
  ReplacedSession,
  SessionFacts,
} from './session.ts'

/** The fields that open every record of a session, in this order. */
const facts: FieldTable<SessionFacts> = {
  sessionId: bytes16,
  generation: count,
  subject: text,
  createdAt: timeBase,
  absoluteExpiresAt: time,
  idleExpiresAt: time,
  authTime: optional(time),
  acr: optional(text),
  providerSessionId: optional(text),
}

const access: FieldTable<AccessContent> = {
  ...facts,
  accessToken: token,
  accessTokenExpiresAt: time,
  scope,
  dpopKeyId: optional(keyId),
}

const refresh: FieldTable<RefreshContent> = {
  ...facts,
  refreshToken: token,
  scope,
  amr: optional(textList),
  nonce: token,
  dpopKeyId: optional(keyId),
}

const identity: FieldTable<IdentityContent> = {
  ...facts,
  claims: json,
  idToken: optional(token),
  amr: optional(textList),
}

const login: FieldTable<LoginContent> = {
  state: token,
  nonce: token,
  codeVerifier: token,
  issuer: text,
  redirectUri: text,
  startedAt: timeBase,
  scope,
  returnTo: optional(text),
  acrValues: optional(textList),
  maxAge: optional(count),
  prompt: optional(text),
  responseMode: optional(text),
  stepUpOf: optional(recordField<NonNullable<LoginContent['stepUpOf']>>({ sessionId: bytes16, subject: text })),
  replaces: optional(recordField<ReplacedSession>({ sessionId: bytes16, subject: text, absoluteExpiresAt: time })),
  dpopKeyId: optional(keyId),
}

/** What each purpose seals. */
export const codecs = {
  access: createRecordCodec(access),
  refresh: createRecordCodec(refresh),
  identity: createRecordCodec(identity),
  login: createRecordCodec(login),
} as const
