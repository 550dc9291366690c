import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Started, listening } from '../machine/process.ts'
import { type World, ports, subfolder } from '../world.ts'
import { startNginx } from './nginx.ts'

/** 1 KB of JSON, as APIs give it. */
export const answerBody = JSON.stringify({ items: ['x'.repeat(1000)] }).padEnd(1024)

/** The API behind every proxy: nginx on the load core; 1 KB of JSON, a 10 MB file, and a place for uploads. */
export async function startUpstream(world: World): Promise<Started> {
  const files = subfolder(world, 'files')
  writeFileSync(join(files, 'ten-megabytes'), Buffer.alloc(10_485_760, 'a'))
  const started = startNginx(
    world,
    'upstream',
    'load',
    `client_max_body_size 0;
keepalive_timeout 1h;
server {
  listen 127.0.0.1:${ports.upstream} backlog=4096;
  location / { default_type application/json; return 200 '${answerBody}'; }
  location /api/files/ { alias ${files}/; }
  location /api/upload {
    client_body_buffer_size 11m;
    content_by_lua_block { ngx.req.read_body(); ngx.header["Content-Length"] = 2; ngx.print("{}") }
  }
}`,
  )
  await listening(ports.upstream, started)
  return started
}
