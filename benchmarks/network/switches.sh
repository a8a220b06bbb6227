#!/bin/bash
# switches.sh HOST ADDRESS [SECONDS [SWITCHES]]: load from four places while both services change colour.
cd "$(dirname "$0")"; host=$1 h=$2 T=${3:-24} n=${4:-4}; x="docker exec -i net28-$host"
load() { local name=$1; shift; "$@" > "/tmp/net28-load-$name" 2>&1 & }
load far docker exec net28-far python3 /bench/load.py "$T" "$h" 8443 12
load near docker exec net28-near python3 /bench/load.py "$T" "$h" 8443 12
load host $x python3 /bench/load.py "$T" "$h" 8443 12
load service $x docker exec web-shell python3 /bench/load.py "$T" 172.30.15.2 8000 12
sleep 2; now=$($x nft list map inet deployctl_shop live | grep -q '172.30.0.2 ' && echo blue || echo green)
for i in $(seq "$n"); do
  [ $now = blue ] && { new=green; w=3 a=19; } || { new=blue; w=2 a=18; }
  for s in web api; do $x docker start "$s-$new" >/dev/null
    until $x docker exec "$s-$new" python3 /bench/probe.py 127.0.0.1 8080 | grep -q open; do sleep 0.1; done; done      # the gate
  $x nft -f - <<N
flush map inet deployctl_shop live
add element inet deployctl_shop live { $h . 8443 : 172.30.0.$w . 8080, 172.30.15.2 . 8000 : 172.30.0.$a . 8080 }
N
  for s in web api; do $x docker kill -s TERM "$s-$now" >/dev/null; done
  now=$new; sleep $(( (T - 4) / n - 1 ))
done
wait; for f in far near host service; do echo "$f $(tail -1 /tmp/net28-load-$f)"; done
