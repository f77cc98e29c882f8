package recording

import (
	"testing"
)

func BenchmarkOutput(b *testing.B) {
	for _, size := range []int{1, 4 << 10, 32 << 10} {
		b.Run(byteName(size), func(b *testing.B) {
			v := openVault(b, b.TempDir())
			c := shell(b, start(b, v, "bench"))
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Output(Stdout, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func byteName(n int) string {
	if n < 1<<10 {
		return "1B"
	}
	return map[int]string{4 << 10: "4KiB", 32 << 10: "32KiB"}[n]
}
