#!/bin/sh
# Makes what must never stand in a repository: a certificate authority for this machine, the two server certificates
# signed by it, and the secrets of the client and of the store. Each lands in a volume of its own. Secrets are made once,
# certificates again when they are about to end.
set -eu
umask 077

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

issue() { # folder, owner, names
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=Token Handler example' \
    -keyout key.pem -out request.pem
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$3" > extensions
  openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 397 -extfile extensions \
    -out certificate.pem
  install -m 0400 -o "$2" -g "$2" certificate.pem key.pem "$1"
  chown "$2:$2" "$1"
}

make_certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj '/CN=Token Handler example CA' \
    -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign' \
    -keyout ca-key.pem -out ca.pem
  issue /out/gateway 101 'DNS:localhost,DNS:gateway'
  issue /out/provider 1000 'DNS:login.localhost'
  # The key of the authority is not kept: nobody can sign another certificate with it.
  install -m 0444 ca.pem /out/authority/ca.pem
  chmod 0755 /out/authority
}

# Signed by the authority that is there, and good for 30 days more.
is_good() { # certificate
  openssl verify -CAfile /out/authority/ca.pem "$1" && openssl x509 -checkend 2592000 -noout -in "$1"
} > /dev/null 2>&1

secret() { # file, owner
  install -m 0400 -o "$2" -g "$2" /dev/stdin "$1"
}

make_secrets() {
  openssl rand -hex 32 | secret /out/client/secret 1000
  openssl rand -hex 32 | secret /out/partner/api-key 1000
  password=$(openssl rand -hex 32)
  echo "redis://token-handler:$password@valkey:6379" | secret /out/store/url 1000
  chown 1000:1000 /out/client /out/partner /out/store

  # Without a disk: what the store loses signs nobody out, and the list of ended sessions is sent again. A full store
  # refuses to write rather than drop a lock. Anybody may ping, for the health check; that the default user has no password
  # would otherwise make the server refuse everybody who is not on its own host (protected-mode).
  {
    printf 'save ""\nappendonly no\nmaxmemory 128mb\nmaxmemory-policy noeviction\nprotected-mode no\n'
    printf 'user default on nopass -@all +ping\n'
    printf 'user token-handler on >%s %s\n' "$password" "$(cat /rights.acl)"
  } | secret /out/valkey/valkey.conf 999
  chown 999:999 /out/valkey
}

if [ ! -s /out/valkey/valkey.conf ]; then
  make_secrets
  echo "Made secrets."
fi
if is_good /out/gateway/certificate.pem && is_good /out/provider/certificate.pem; then
  echo "Certificates and secrets are there."
else
  make_certificates
  echo "Made certificates. Trust ca.pem of the volume authority in your browser, or accept its warning."
  echo "Containers that were up before read them after: docker compose restart"
fi
