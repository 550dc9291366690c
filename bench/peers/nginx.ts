import { writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { type Core, type Started, start } from '../machine/process.ts'
import { type World, subfolder } from '../world.ts'

const modules = '/usr/lib/nginx/modules'

/** Starts nginx with one worker and these directives in its http block. */
export function startNginx(world: World, name: string, core: Core, http: string): Started {
  const folder = subfolder(world, name)
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, mainConfiguration(folder, http))
  return start('nginx', ['-p', folder, '-e', 'stderr', '-c', file], { core })
}

function mainConfiguration(folder: string, http: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  // Started by root, the worker would become a user who may not read the files of this run.
  const user = userInfo().uid === 0 ? 'user root;' : ''
  return `daemon off;
${user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
error_log stderr error;
load_module ${modules}/ndk_http_module.so;
load_module ${modules}/ngx_http_lua_module.so;
events { worker_connections 9000; }
http {
access_log off;
keepalive_requests 100000000;
${temporary.map((each) => `${each}_temp_path ${folder}/${each};`).join('\n')}
${http}
}
`
}
