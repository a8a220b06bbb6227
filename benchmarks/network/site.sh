#!/bin/bash
# A router, two segments, a client in each, and one host per engine, as containers. build | up | prepare HOST | down
set -euo pipefail
cd "$(dirname "$0")"
HOSTS=${HOSTS:-host26:11 host28:21}
as_machine=(--cap-add ALL --cap-drop SYS_RESOURCE --cap-drop SYS_TIME --cap-drop SYS_MODULE --cap-drop SYS_RAWIO --cgroupns=private
  --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
  --tmpfs /run --tmpfs /run/lock --tmpfs /tmp:exec --memory 3g)
build() {
  export DOCKER_BUILDKIT=0
  docker build -q -t net28-bare -f Dockerfile.bare .
  docker build -q -t net28-host26 -f Dockerfile.host .
  docker build -q -t net28-host28 --build-arg SUITE=forky --build-arg "APT_OPTIONS=${APT_OPTIONS:-}" -f Dockerfile.host .
}
machine() {   # NAME SEGMENT ADDRESS IMAGE
  docker run -d --name "net28-$1" --hostname "$1" --network "net28-$2" --ip "$3" --sysctl net.ipv4.ip_forward=0 "${as_machine[@]}" -v "$PWD:/bench:ro" \
    ${5:+-v "net28-$1-docker:/var/lib/docker" -v "net28-$1-containerd:/var/lib/containerd"} "$4" >/dev/null
}
up() {
  local s h
  for s in dmz:10 int:20; do
    docker network create --subnet "10.79.${s#*:}.0/24" --gateway "10.79.${s#*:}.1" -o com.docker.network.bridge.inhibit_ipv4=true \
      -o com.docker.network.bridge.enable_ip_masquerade=false -o "com.docker.network.bridge.name=n28-${s%:*}" "net28-${s%:*}" >/dev/null
  done
  docker create --name net28-router --init --cap-add NET_ADMIN --sysctl net.ipv4.ip_forward=1 --network net28-dmz --ip 10.79.10.2 \
    --entrypoint sh net28-bare -c 'for i in 10 20; do ip addr add 10.79.$i.1/24 dev $(ip -4 -o addr | awk -v p="10.79.$i." "index(\$4,p)==1{print \$2; exit}"); done
      ip route replace blackhole default; exec sleep infinity' >/dev/null
  docker network connect --ip 10.79.20.2 net28-int net28-router; docker start net28-router >/dev/null
  machine far dmz 10.79.10.11 net28-bare; machine near int 10.79.20.12 net28-bare
  for h in $HOSTS; do machine "${h%:*}" int "10.79.20.${h#*:}" "net28-${h%:*}" disk; done
  for h in far near $HOSTS; do until docker exec "net28-${h%:*}" systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; do sleep 0.3; done; done
}
prepare() {   # what deployctl would leave on the host
  local x="docker exec -i net28-$1" n
  n=$(for h in $HOSTS; do [ "${h%:*}" != "$1" ] || echo "${h#*:}"; done)
  docker save net28-bare | $x docker load -q
  sed "s/@H@/10.79.20.$n/g" shop.nft | $x sh -c 'mkdir -p /etc/deployctl/network.d; cat > /etc/deployctl/network.d/shop.nft'
  $x sh -c 'install -m 755 /bench/deployctl-network-load /usr/local/sbin/; install -m 644 /bench/deployctl-network.service /etc/systemd/system/
    mkdir -p /etc/systemd/system/nftables.service.d; install -m 644 /bench/nftables-dropin.conf /etc/systemd/system/nftables.service.d/deployctl.conf
    systemctl daemon-reload; systemctl enable -q nftables; systemctl start nftables; systemctl restart docker; systemctl enable -q deployctl-network; systemctl start deployctl-network'
  $x sh -s <<'S'
net() { docker network create --subnet "$2" --gateway "$3" -o com.docker.network.bridge.enable_ip_masquerade=false -o com.docker.network.bridge.name="dc-1a2b-$1" "shop_$1"; }
run() { docker run -d --name "$1" --network "shop_$2" --ip "$3" --restart unless-stopped -v /bench:/bench:ro --entrypoint python3 net28-bare /bench/srv.py "$1"; }
net web 172.30.0.0/28 172.30.0.1; net api 172.30.0.16/28 172.30.0.17
run web-blue web 172.30.0.2; run web-green web 172.30.0.3; run api-blue api 172.30.0.18; run api-green api 172.30.0.19
docker run -d --name stranger --restart unless-stopped --cap-add NET_ADMIN --entrypoint sleep net28-bare infinity
docker run -d --name published -p 8081:8080 --restart unless-stopped -v /bench:/bench:ro --entrypoint python3 net28-bare /bench/srv.py published
S
  # a colour for calls, in the network of web, that is not the server
  $x docker run -d --name web-shell --network shop_web --ip 172.30.0.4 --restart unless-stopped --cap-add NET_ADMIN -v /bench:/bench:ro --entrypoint sleep net28-bare infinity
  $x docker run -d --name api-shell --network shop_api --ip 172.30.0.20 --restart unless-stopped --cap-add NET_ADMIN -v /bench:/bench:ro --entrypoint sleep net28-bare infinity
}
down() {
  local n; n=$(docker ps -aq --filter name='^net28-'); [ -z "$n" ] || docker rm -f $n >/dev/null
  n=$(docker volume ls -q --filter name='^net28-'); [ -z "$n" ] || docker volume rm $n >/dev/null
  for n in dmz int; do docker network rm "net28-$n" 2>/dev/null || true; done
}
"$@"
