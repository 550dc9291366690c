/** Cases that no test of ours tries, each with the reason. */
export const notApplicable: Readonly<Record<string, string>> = {
  C18: 'The proxy does not validate access tokens; it forwards only the token that the agent sealed for this user.',
  M09: 'No test asserts a time, because no test may depend on how busy a machine is; every failure takes the one path of open.',
}
