# What the regress scripts of OpenSSH expect around them, in few words: the
# variables and functions they name, and the files they read, for one of two
# ways to the same sshd. Run by regress_test.go:
#
#	sh regress.sh SCRIPT
#
# with OBJ (an empty folder), REGRESS (the folder of the scripts), PROXYPORT and
# PORT (where ssh goes: to a sshd started for each connection with sshd_proxy,
# and to the one of start_sshd), DAEMONPORT (where that one listens), LOGIN, KEY,
# HOSTKEY (its known_hosts line without the name), SSHDCONFIG (what every sshd's
# configuration begins with), WITHOUT_R (set: ssh is not given its -R).
# Prints "FAIL: what" for each thing that is not as the script expects.

TEST=$1
# The script's own folder is where it looks for scp-ssh-wrapper.sh: ours.
SCRIPT=$OBJ/$TEST.sh SRC=$OBJ BUILDDIR=$REGRESS
SUDO= RESULT=0 USER=$LOGIN SSH_PID= SSHD_PID=
TEST_SSH_LOGFILE=$OBJ/ssh.log TEST_SSHD_LOGFILE=$OBJ/sshd.log TEST_REGRESS_LOGFILE=$OBJ/regress.log
REAL_SSH=ssh SSH=$OBJ/ssh SSHD=/usr/sbin/sshd REAL_SSHD=$SSHD SSHAGENT=ssh-agent SSHADD=ssh-add SSHKEYGEN=ssh-keygen
SFTP=sftp SCP=scp PLINK=plink NC=$REGRESS/netcat
DATANAME=data DATA=$OBJ/data COPY=$OBJ/copy
SFTPSERVER=/usr/lib/openssh/sftp-server
export OBJ REGRESS SSH SFTP SCP SFTPSERVER TEST_SSH_LOGFILE
cd "$OBJ" || exit 2
: >ssh.log >sshd.log >regress.log
cat /usr/bin/ssh-agent >data

config() {
	cat <<END
Host *
  Hostname 127.0.0.1
  Port $1
  User $2
  HostKeyAlias regress
  UserKnownHostsFile $OBJ/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  UpdateHostKeys no
  IdentityFile $KEY
  IdentitiesOnly yes
  IdentityAgent none
  BatchMode yes
  LogLevel DEBUG1
END
}
echo "regress $HOSTKEY" >known_hosts
config "$PROXYPORT" "$LOGIN$PROXYTARGET" >ssh_proxy
config "$PORT" "$LOGIN$DAEMONTARGET" >ssh_config
cp ssh_proxy ssh_config_config
for port in $DAEMONPORT:sshd_config 0:sshd_proxy; do
	{ grep -Ev '^(Port|PidFile|LogLevel|AcceptEnv) ' "$SSHDCONFIG"
	printf 'PidFile none\nLogLevel DEBUG1\nAcceptEnv LANG LC_* _XXX_TEST _XXX_TEST_*\n'; } >"${port#*:}"
	[ "${port%%:*}" = 0 ] || echo "Port ${port%%:*}" >>"${port#*:}"
done

# The client's own log stays out of what it shows. Of algorithms only those
# are tried that both ways have.
cat >ssh <<'END'
#!/bin/sh
case "$1 $2" in
"-Q kex") exec ssh -Q kex | grep -E '^(curve25519-sha256|diffie-hellman-group1[46]-sha(256|512))$' ;;
"-Q mac") exec ssh -Q mac | grep -E '^hmac-sha2-.*-etm@' ;;
"-Q cipher") exec ssh -Q cipher | grep -v cbc ;;
esac
for a; do
	shift
	case "$last$a" in
	-q) continue ;; # it would silence the log
	-R*) last=; [ -z "$WITHOUT_R" ] || { [ "$a" != -R ] || last=-R; continue; } ;;
	esac
	set -- "$@" "$a"
done
exec ssh -E "$TEST_SSH_LOGFILE" "$@"
END
# Where a script runs the far end of a transfer itself, it is run over there.
cat >sftp-server <<'END'
#!/bin/sh
exec "$SSH" -F "$OBJ/ssh_proxy" -s somehost sftp
END
cat >scp-ssh-wrapper.sh <<'END'
#!/bin/sh
case "$SCPTESTMODE" in badserver_*) exec sh "$REGRESS/scp-ssh-wrapper.sh" "$@" ;; esac
exec "$SSH" -F "$OBJ/ssh_proxy" "$@"
END
chmod 755 ssh sftp-server scp-ssh-wrapper.sh
case $TEST in sftp* | scp*) SFTPSERVER=$OBJ/sftp-server ;; esac

putty() {
	REGRESS_INTEROP_PUTTY=yes PUTTYDIR=$OBJ/.putty
	export PUTTYDIR
	mkdir -p .putty/sessions
	puttygen "$KEY" -O private -o putty.rsa2 || exit 2
	sum=$(ssh-keygen -l -f known_hosts | cut -d ' ' -f 2)
	printf '%s\n' Protocol=ssh HostName=127.0.0.1 "PortNumber=$PROXYPORT" "UserName=$LOGIN$PROXYTARGET" "SSHManualHostKeys=$sum" \
		>.putty/sessions/localhost_proxy
}
case $TEST in *putty*) putty ;; esac

trace() { echo "trace: $*" >>regress.log; }
verbose() { echo "$*" >>regress.log; }
fail() { RESULT=1; echo "FAIL: $*"; }
fatal() { fail "$@"; cleanup; exit 1; }
skip() { echo "FAIL: skipped: $*"; cleanup; exit 1; }
config_defined() { grep -Eq "^#define.*($1)" "$REGRESS/config.h"; }
maybe_add_scp_path_to_sshd() { :; }
make_tmpdir() { SSH_REGRESS_TMP=$OBJ/tmp; mkdir -p "$SSH_REGRESS_TMP"; }
increase_datafile_size() { while [ "$(du -k data | cut -f1)" -lt "$1" ]; do cat /usr/bin/ssh-agent >>data; done; }
md5() { md5sum; }
telnet() { "$NC" "$@"; }
start_sshd() {
	$SSHD -D -f sshd_config -E sshd.log &
	SSHD_PID=$!
	for i in 1 1 1 2 2 3; do "$NC" -z 127.0.0.1 "$DAEMONPORT" && return; sleep $i; done
	fatal "no sshd at $DAEMONPORT"
}
stop_sshd() { [ -z "$SSHD_PID" ] || kill "$SSHD_PID"; SSHD_PID=; }
cleanup() { [ -z "$SSH_PID" ] || kill "$SSH_PID"; stop_sshd; }

. "$REGRESS/$TEST.sh"
cleanup
exit $RESULT
