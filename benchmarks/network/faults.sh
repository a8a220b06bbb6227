#!/bin/bash
# faults.sh HOST ADDRESS: each disturbance with a caller outside and one on the host, then all pairs again.
cd "$(dirname "$0")"; host=$1 h=$2; x="docker exec net28-$host"
after() { ./isolation.sh "$host" "$h" | grep -vE '^ok'; $x sh -c 'nft list tables | tr "\n" ";"; echo; iptables -S DOCKER-USER 2>&1 | tr "\n" ";"; iptables -S FORWARD 2>&1 | head -1; systemctl is-active deployctl-network nftables docker | tr "\n" " "; echo'; }
try() { echo "== $1"; docker exec net28-far python3 /bench/gap.py "$h" 8443 "$2" > /tmp/net28-gap-far & docker exec net28-$host docker exec web-shell python3 /bench/gap.py 172.30.15.2 8000 "$2" > /tmp/net28-gap-svc 2>&1 &
  sleep 1; shift 2; "$@"; wait; echo "far: $(cat /tmp/net28-gap-far)"; echo "service: $(tail -1 /tmp/net28-gap-svc)"; }
power() { docker kill net28-$host >/dev/null; docker start net28-$host >/dev/null; }
try "systemctl reload nftables" 5 $x systemctl reload nftables; after
try "systemctl restart nftables" 5 $x systemctl restart nftables; after
try "systemctl restart docker (after nftables)" 15 $x systemctl restart docker; sleep 2; after
try "systemctl restart docker" 15 $x systemctl restart docker; sleep 2; after
try "power cut" 20 power; sleep 3; after
