package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// The ports of servers lie below the range out of which kernels give ports to
// outgoing connections, so that a server that is down finds its own still free,
// and beside those of the end-to-end tests' gateways and of redistest.
const (
	firstPort = 31_500
	ports     = 1200
)

// freePort is one that nothing listens on. Two processes begin apart.
func freePort() (int, error) {
	begin := os.Getpid()*97 + int(time.Now().UnixMicro())
	for i := range ports {
		port := firstPort + (begin+i)%ports
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free", firstPort, firstPort+ports-1)
}
