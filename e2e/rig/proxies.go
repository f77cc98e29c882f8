package rig

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Reverse is somebody else's HTTPS reverse proxy in front of a console, in
// processes of its own: what a gateway is measured against.
type Reverse struct {
	*Process
	Addr string // localhost:port
}

// nginxConf: certificate, key, port, target.
const nginxConf = `user root; daemon off; pid nginx.pid; worker_processes auto; error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  keepalive_requests 1000000000;
  ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.3; ssl_ecdh_curve X25519;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream console { server %s; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen %s ssl http2 reuseport;
    client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_read_timeout 1h;
    location / {
      proxy_pass https://console; proxy_http_version 1.1;
      proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }
  }
}
`

// StartNginx serves a console on loopback, with its files in dir.
func StartNginx(ctx context.Context, dir, target string, c Certificate) (*Reverse, error) {
	return startReverse(ctx, c, "nginx-light", func(addr string) (*Process, error) {
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, fmt.Appendf(nil, nginxConf, c.Cert, c.Key, target, addr), 0o600); err != nil {
			return nil, err
		}
		nginx := "nginx"
		if exists("/usr/sbin/nginx") { // not on every PATH
			nginx = "/usr/sbin/nginx"
		}
		return start(nginx, nil, "-p", dir, "-c", file, "-e", "stderr")
	})
}

// caddyFile: port, certificate, key, target, certificate.
const caddyFile = `{
	admin off
	auto_https off
	servers {
		protocols h1 h2
	}
}
https://localhost:%s {
	bind 127.0.0.1
	tls %s %s {
		protocols tls1.3
		curves x25519
	}
	reverse_proxy https://%s {
		transport http {
			tls_trusted_ca_certs %s
			keepalive_idle_conns_per_host 64
		}
	}
}
`

// StartCaddy serves a console on loopback, with its files in dir.
func StartCaddy(ctx context.Context, dir, target string, c Certificate) (*Reverse, error) {
	return startReverse(ctx, c, "caddy", func(addr string) (*Process, error) {
		_, port, _ := strings.Cut(addr, ":")
		file := filepath.Join(dir, "Caddyfile")
		if err := os.WriteFile(file, fmt.Appendf(nil, caddyFile, port, c.Cert, c.Key, target, c.Cert), 0o600); err != nil {
			return nil, err
		}
		return start("caddy", []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, "run", "--adapter", "caddyfile", "--config", file)
	})
}

// Kill ends it with what it has started.
func (r *Reverse) Kill() {
	_ = syscall.Kill(-r.PID(), syscall.SIGKILL) // the group is its own
	<-r.Done()
}

func startReverse(ctx context.Context, c Certificate, of string, run func(addr string) (*Process, error)) (*Reverse, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	r := &Reverse{Addr: "localhost:" + port}
	if r.Process, err = run(addr); err != nil {
		return nil, fmt.Errorf("%w (apt-get install %s)", err, of)
	}
	if err := r.answers(ctx, c, "https://"+r.Addr+"/", http.StatusNotFound); err != nil {
		r.Kill()
		return nil, fmt.Errorf("%s is not ready: %w\n%s", of, err, r.Log())
	}
	return r, nil
}
