package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/portcullis/portcullis/gateway/cluster"
)

// tallyName is how many bytes of a name's hash stand in its key: Redis need
// not know who comes from where.
const tallyName = 16

var errCount = errors.New("redis: counted nothing")

// Add implements cluster.Tally. A key lives for two windows, so that clocks
// that are apart find it.
func (b *Bus) Add(ctx context.Context, name string, window time.Duration) (int, error) {
	hash := sha256.Sum256([]byte(name))
	key := b.prefix + ":tally:" + hex.EncodeToString(hash[:tallyName]) + ":" + strconv.FormatInt(cluster.Window(b.now(), window), 10)
	var count *goredis.IntCmd
	_, err := b.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.SetNX(ctx, key, 0, 2*window) // first, or what counts would live for ever
		count = p.Incr(ctx, key)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("redis: count: %w", err)
	}
	if n := count.Val(); n > 0 {
		return int(n), nil
	}
	return 0, errCount
}
