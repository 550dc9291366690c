/** The file of the package that holds nothing but its Pool and what that needs. */
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici'

  export default Pool
}
