#!/bin/busybox sh
# What runs in the machine of daemoncut.py: looks at the state that the last cut left, starts ten on it and says what it
# knows, kills it to see that it takes its instances on, and then changes things until the power is gone. A line that
# begins with "did" is printed after ten had acknowledged it.
export PATH=/bin
busybox --install -s /bin
disk=$1 round=$2
data=$disk/data
mount -t cgroup2 none /sys/fs/cgroup
ifconfig lo 127.0.0.1 up

bad() { echo "bad: $*"; }
ten() { /bin/program --data-dir $data --quiet "$@" 2> /tmp/error; }
serve() { /bin/program serve --config /tenement.toml --data-dir $data > /tmp/out 2>> /tmp/log < /dev/null & }
daemon() { head -n 1 $data/daemon.lock | cut -d ' ' -f 1; }
keeper() { sed -n 2p $data/daemon.lock | cut -d ' ' -f 1; }
# All that runs: instance and pid.
running() { ten --json ps | tr -d ' ",' | grep -E '^(instance|pid):' | sort | tr '\n' ' '; }

until_up() {
  tries=0
  until ten status > /dev/null; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ]; then
      bad "ten does not answer: $(cat /tmp/error) $(tail -n 3 /tmp/log)"
      return
    fi
    usleep 100000
  done
}

# A daemon after this one.
until_another() {
  tries=0
  while [ "$(daemon)" = "$1" ] && [ $tries -lt 600 ]; do
    tries=$((tries + 1))
    usleep 50000
  done
  until_up
}

same() {
  after=$(running)
  if [ "$2" = "$after" ]; then echo "adopted after $1"; else bad "after $1: $2 became $after"; fi
}

# A copy, so that what ten finds is what the cut left.
for name in state history sinks; do
  [ -f $data/$name.db ] || continue
  rm -rf /tmp/copy && mkdir /tmp/copy && cp $data/$name.db* /tmp/copy
  found=$(sqlite3 /tmp/copy/$name.db 'PRAGMA integrity_check' 2>&1)
  [ "$found" = ok ] && echo "intact $name" || bad "$name.db: $found"
done

serve
until_up
ten tokens --no-header | awk '{ print "token", $2 }'
ten ps --format csv --no-header | cut -d , -f 1,2 | tr , ' ' | sed 's/^/instance /'
echo listed

# Up from the last round already, or not.
ten spawn app:kept > /dev/null
ten health app:kept > /dev/null || [ "$(ten ps --format csv --no-header | grep -c '^app:kept,running')" = 1 ] || bad "app:kept does not run: $(cat /tmp/error)"
ten status | grep -q 'cgroup v2' || bad "no cgroup v2"
before=$(running)
first=$(daemon)
kill -9 $first
until_another $first
same "a kill of the daemon" "$before"
first=$(daemon)
kill -9 $(keeper)
kill -9 $first
serve
until_another $first
same "a kill of daemon and keeper" "$before"
pid=$(ten --json ps | tr -d ' ",' | grep -A 20 '^instance:app:kept$' | grep '^pid:' | head -n 1 | cut -d : -f 2)
group=$(cut -d : -f 3 "/proc/$pid/cgroup" < /dev/null)
case $group in *tenement-*) ;; *) bad "process '$pid' is in group '$group'" ;; esac
ten stop app:kept > /dev/null || bad "not stopped: $(cat /tmp/error)"
[ ! -d "/proc/$pid" ] && [ ! -d "/sys/fs/cgroup$group" ] || bad "'$pid' or its group '$group' outlived a stop"
echo checked

do_it() {
  told="$1 $2"
  shift 2
  echo "begin $told"
  if ten "$@" > /dev/null; then echo "did $told"; else echo "failed $told: $(head -n 1 /tmp/error)"; fi
}

n=0
while :; do
  n=$((n + 1))
  name=r$round-$n
  do_it token $name token-gen --name $name
  if [ $((n % 2)) = 0 ]; then
    do_it revoke $name token-revoke "$(ten tokens --no-header | awk -v name=$name '$2 == name { print $1 }')"
  fi
  do_it spawn app:$name spawn app:$name
  case $((n % 3)) in
    0) do_it stop app:$name stop app:$name --keep ;;
    1) do_it delete app:$name stop app:$name ;;
    2) [ $n -gt 3 ] && do_it delete app:r$round-$((n - 3)) stop app:r$round-$((n - 3)) ;;
  esac
done
