package cluster_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/cluster/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocal(t *testing.T) {
	bustest.Run(t, func(*testing.T) cluster.Bus { return cluster.NewLocal(10*time.Second, nil) })
}
