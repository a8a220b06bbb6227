#!/bin/bash
# isolation.sh HOST: every pair, what it should be and what it is.
cd "$(dirname "$0")"; host=$1; h=$2; BAD=0 N=0
in_() { local m=$1 c=$2; shift 2; if [ "$c" = - ]; then docker exec "net28-$m" timeout 8 python3 /bench/probe.py "$@"; else docker exec "net28-$m" docker exec "$c" timeout 8 python3 ${PY:-/bench/probe.py} "$@"; fi; }
want() { local w=$1 m=$2 c=$3 r; shift 3; r=$(in_ "$m" "$c" "$@" 2>&1 | tail -1); N=$((N+1))
  case "$w:$r" in open:open*|shut:refused*|shut:silent*) s=ok;; *) s=BAD; BAD=$((BAD+1));; esac; echo "$s  $w  $m/$c -> $*: $r"; }
docker exec net28-$host docker cp -q /bench/probe.py stranger:/probe.py 2>/dev/null || docker exec net28-$host sh -c 'docker cp /bench/probe.py stranger:/probe.py >/dev/null'
want open far - $h 8443; want open near - $h 8443; want open $host - $h 8443
want open $host - 172.30.15.2 8000; want open $host web-shell 172.30.15.2 8000
want open far - $h 5140 udp; want open near - $h 5140 udp; want open $host - $h 5140 udp
want open $host api-shell 10.79.20.12 9000; want open $host web-shell $h 8443   # the second: a service that calls itself
want open far - $h 8081                                           # the administrator's own container stays as it was
want shut $host api-shell $h 8443; want shut $host api-shell 172.30.0.2 8080; want shut $host api-shell 172.30.0.4 8080
want shut $host api-shell 172.30.0.2 5140 udp; want shut $host api-shell $h 5140 udp
want shut $host web-shell 172.30.0.18 8080; want shut $host web-shell 10.79.20.12 9000
want shut $host web-shell 10.79.20.12 22; want shut $host api-shell 10.79.20.12 22; want shut $host web-shell 10.79.10.11 22
for c in web-shell:172.30.0.1 api-shell:172.30.0.17; do want shut $host ${c%:*} $h 22; want shut $host ${c%:*} ${c#*:} 22; want shut $host ${c%:*} 172.17.0.1 22; want shut $host ${c%:*} $h 8081; want shut $host ${c%:*} 172.17.0.3 8080; want shut $host ${c%:*} 172.17.0.2 8080; done
for n in far near; do want shut $n - 172.30.0.2 8080; want shut $n - 172.30.0.18 8080; want shut $n - 172.30.15.2 8000; want shut $n - 172.30.0.2 5140 udp; done
export PY=/probe.py
want shut $host stranger 172.30.0.2 8080; want shut $host stranger $h 8443; want shut $host stranger 172.30.15.2 8000; want shut $host stranger 172.30.0.18 8080; want shut $host stranger $h 5140 udp
unset PY
want shut $host - 172.30.0.2 8080; want shut $host - 172.30.0.18 8080; want shut $host - 10.79.20.12 9000; want open $host - 10.79.20.12 22
echo "$N pairs, $BAD bad"; [ $BAD = 0 ]
