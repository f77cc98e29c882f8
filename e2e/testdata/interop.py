# paramiko: HOST PORT USER KEY KNOWN_HOSTS up|down LOCAL REMOTE
import os
import sys

import paramiko

host, port, user, key, known, way, local, remote = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known)
client.connect(host, int(port), user, key_filename=key, allow_agent=False, look_for_keys=False)
banner = client.get_transport().get_banner()
if banner:
    print(banner.decode(), flush=True)
sftp = client.open_sftp()
if way == "up":
    for name in os.listdir(local):
        sftp.put(os.path.join(local, name), remote + "/" + name)
else:
    for name in sftp.listdir(remote):
        sftp.get(remote + "/" + name, os.path.join(local, name))
_, out, _ = client.exec_command("echo out; exit 3")
if out.read() != b"out\n" or out.channel.recv_exit_status() != 3:
    sys.exit("the command did not end as it should")
client.close()
