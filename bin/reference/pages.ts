import { jsonSchema } from '../../shared/config/json-schema.ts'
import { exampleText } from '../../shared/config/example.ts'
import { loginSettings } from '../../shared/config/login.ts'
import { type Config, schema } from '../../shared/config/schema.ts'
import { toCamelCase } from '../../shared/config/walk.ts'
import { describeCookies } from '../../shared/cookies/catalogue.ts'
import { type ErrorRow, errorTable } from '../../shared/error-table.ts'
import type { ErrorFields } from '../../shared/errors.ts'
import { type EventRow, eventTable } from '../../shared/observe/events.ts'
import { type MetricRow, metricTable, processMetricTable } from '../../shared/observe/metric-table.ts'
import { commandsPage } from './commands-page.ts'
import { dashboard } from './dashboard.ts'
import { table } from '../../shared/config/markdown.ts'
import { settingsPage } from '../../shared/config/reference.ts'

/** Every file that is made from a table, by its path from the root of the repository. */
export function referencePages(): Readonly<Record<string, string>> {
  return {
    'docs/reference/settings.md': page(settingsPage()),
    'docs/reference/config.schema.json': `${JSON.stringify(jsonSchema(), null, 2)}\n`,
    'docs/reference/errors.md': page(errorsPage()),
    'docs/reference/events.md': page(eventsPage()),
    'docs/reference/metrics.md': page(metricsPage()),
    'docs/reference/commands.md': page(commandsPage()),
    'docs/reference/cookies.md': page(cookiesPage()),
    'spa-client/known-words.ts': knownWords(),
    'token-handler.example.yaml': exampleText('./docs/reference/config.schema.json'),
    'deploy/grafana/dashboard.json': `${JSON.stringify(dashboard(), null, 2)}\n`,
  }
}

function page(text: string): string {
  return `<!-- Made by \`npm run docs\` from the table in the source; change it there. -->\n\n${text.trimEnd()}\n`
}

/** What answers may hold besides code and sentence, each with its unit; of this type, so that none is left out. */
const furtherMembers: Readonly<Record<keyof ErrorFields, string>> = {
  acr_values: '',
  max_age: ' (seconds)',
  scope: '',
  retry_after: ' (seconds)',
  parameter: '',
  sizes: ' (bytes)',
  return_to: '',
  prompt: '',
}

function errorsPage(): string {
  const rows = Object.entries<ErrorRow>(errorTable).map(([code, { status, message, remedy, endsSession }]) => [
    `\`${code}\``,
    String(status),
    message,
    remedy,
    endsSession ? 'yes' : '',
  ])
  const members = Object.entries(furtherMembers).map(([name, unit]) => `\`${name}\`${unit}`)
  return `# Errors

Agent and proxy answer every failure with \`{"error_code": "…", "detailed_error": "…"}\`, the header
\`token-handler-error\` with the same code, and \`x-request-id\`, for which the log can be searched. Some answers have
further members: ${members.join(', ')}.

${table(['Code', 'Status', 'Sentence', 'What to do', 'Ends the session'], rows)}`
}

/** Types of the browser client, which imports nothing of the server. */
function knownWords(): string {
  const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`)
  const parameters = quoted(loginSettings.parse({}).allowed_parameters)
  return `// Made by \`npm run docs\` from the tables in the source; change it there.

/** The codes with which agent and proxy refuse. */
export type ErrorCode =
  | ${quoted(Object.keys(errorTable)).join('\n  | ')}

/** The parameters of an authorization request that the agent takes unless it is told otherwise. */
type KnownParameter = ${parameters.join(' | ')}

/** Parameters of an authorization request; which ones the agent takes is the setting \`login.allowed_parameters\`. */
export type SignInParameters = Readonly<Record<string, string>> & { readonly [name in KnownParameter]?: string }
`
}

function eventsPage(): string {
  const rows = Object.entries<EventRow>(eventTable).map(([name, { level, audit, when, fields }]) => [
    `\`${name}\``,
    when,
    level,
    audit ? 'yes' : '',
    Object.entries(fields)
      .map(([field, kind]) => `\`${field}\` (${kind})`)
      .join(', '),
  ])
  return `# Events

Log, audit stream, metrics and traces are fed from this one list. Each line of the log is a JSON object with \`level\`,
\`time\`, \`event\` and the fields of the event that are known. No kind of field can hold a token: a \`word\` has at most 40
plain characters, a \`pseudonym\` is a keyed hash; a value that does not fit its kind is written as \`[invalid]\`.

Events marked as audit are also written to \`observability.audit_file\`, or without one to the log, where
\`"audit": true\` marks them and they appear at any log level.

${table(['Event', 'When', 'Level', 'Audit', 'Fields'], rows)}`
}

function metricsPage(): string {
  const counted = Object.entries<MetricRow>(metricTable).map(([name, { help, labels, milliseconds, event }]) => [
    `\`${name}\``,
    milliseconds === undefined ? 'counter' : 'histogram',
    labels.map((label) => `\`${label}\``).join(', '),
    `${help} (\`${event}\`)`,
  ])
  const own = Object.entries(processMetricTable).map(([name, { help, labels, kind }]) => [
    `\`${name}\``,
    kind,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ])
  return `# Metrics

\`/metrics\` on the operations port answers in the Prometheus text format; the metrics of the process itself
(\`process_…\`, \`nodejs_…\`) are there, too. No client can invent the value of a label.

${table(['Metric', 'Kind', 'Labels', 'Meaning'], [...counted, ...own])}`
}

function cookiesPage(): string {
  const sections = schema.pick({ agent: true, cookies: true, login: true })
  const defaults = toCamelCase(sections, sections.parse({})) as Pick<Config, 'agent' | 'cookies' | 'login'>
  const rows = (change: Partial<Config['cookies']>) =>
    table(
      ['Cookie', 'Holds', 'Opened by', 'Attributes', 'Lives', 'Cleared'],
      describeCookies({ ...defaults, cookies: { ...defaults.cookies, ...change } }).map((row) => [
        `\`${row.name}\``,
        row.holds,
        row.openedBy,
        row.attributes,
        row.lifetime,
        row.cleared,
      ]),
    )
  return `# Cookies

Every value is sealed (see \`shared/cookies/FORMAT.md\`). One of a session that does not fit into one cookie is
split over \`name\`, \`name.1\`, and so on. With \`login.navigation.response_mode: form_post\` login cookies are
SameSite=None, because browsers send no others with a form of another site.

${rows({})}

With \`cookies.refresh_path: agent\`:

${rows({ refreshPath: 'agent' })}

With \`cookies.insecure_plain: true\`, which is for development on http://localhost in a browser that stores no Secure
cookies there:

${rows({ insecurePlain: true })}`
}
