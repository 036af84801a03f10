/** Settings of the one-machine Ceph: no replicas, no authentication delays, nothing on disk but the monitor's few bytes. */
export function cephConfiguration(what: {
  clusterId: string;
  directory: string;
  port: number;
  monitorPort: number;
  memoryBytes?: number;
  lifecycleDaySeconds?: number;
}): string {
  const { clusterId, directory, port, monitorPort, memoryBytes = 4 * 1024 ** 3, lifecycleDaySeconds = -1 } = what;
  return `[global]
fsid = ${clusterId}
mon host = [v2:127.0.0.1:${monitorPort}/0]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
run dir = ${directory}/run
crash dir = ${directory}/run
log file = ${directory}/log/$name.log
admin socket = ${directory}/run/$name.$pid.asok
keyring = ${directory}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 2
paxos propose interval = 0.02
paxos min wait = 0.01
ms bind msgr1 = false
ms bind ipv6 = false
rgw run sync thread = false
[mon.a]
host = localhost
mon data = ${directory}/mon
[osd]
osd data = ${directory}/osd
osd objectstore = memstore
memstore device bytes = ${memoryBytes}
osd class load list = *
osd class default list = *
[client.rgw]
rgw data = ${directory}/rgw
rgw frontends = beast endpoint=127.0.0.1:${port}
rgw dynamic resharding = false
rgw thread pool size = 32
rgw gc obj min wait = 1
rgw gc processor period = 2
rgw gc processor max time = 2
rgw crypt require ssl = false
rgw lc debug interval = ${lifecycleDaySeconds}
rgw dns name = localhost
`;
}
