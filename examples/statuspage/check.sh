#!/bin/sh
# Say every STATUS_EVERY seconds whether the page answers. Written beside and renamed, so nobody reads half a file.
set -eu
trap 'exit 0' TERM INT
while :; do
  if seconds=$(curl -fsS -o /dev/null -m 3 -w '%{time_total}' http://page/ 2>/dev/null); then state=up; else state=down seconds=null; fi
  printf '{"title": "%s", "page": "%s", "seconds": %s, "at": "%s"}\n' "$STATUS_TITLE" "$state" "$seconds" "$(date -u +%FT%TZ)" > /status/.new
  chmod 644 /status/.new
  mv /status/.new /status/status.json
  sleep "$STATUS_EVERY" & wait $!
done
