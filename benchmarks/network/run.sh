#!/bin/bash
# run.sh [build]: set up, measure each engine, tear down. See README.md.
set -uo pipefail
cd "$(dirname "$0")"; export HOSTS=${HOSTS:-host26:11 host28:21}
[ "${1:-}" != build ] || ./site.sh build
trap './site.sh down' EXIT
./site.sh up
docker exec -d net28-near python3 /bench/srv.py near 9000
for h in $HOSTS; do
  host=${h%:*} address=10.79.20.${h#*:}
  ./site.sh prepare "$host" > /dev/null
  docker exec net28-near ip route replace 172.30.0.0/20 via "$address"      # outsiders who try to route into the pool
  docker exec net28-router ip route replace 172.30.0.0/20 via "$address"
  docker exec net28-far true; echo "### $host: Docker $(docker exec "net28-$host" docker version -f '{{.Server.Version}}')"
  ./isolation.sh "$host" "$address" | grep -v ^ok
  [ -n "${QUICK:-}" ] || { ./switches.sh "$host" "$address" 28 4
    docker exec "net28-$host" docker start web-blue web-green api-blue api-green > /dev/null
    ./faults.sh "$host" "$address"; }
done
