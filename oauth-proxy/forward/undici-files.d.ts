/** The file of the package that holds nothing but its Pool and what that needs. */
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici'

  export default Pool
}

/** The file of the package that makes the connections of its Pool. */
declare module 'undici/lib/core/connect.js' {
  import { buildConnector } from 'undici'

  export default buildConnector
}
