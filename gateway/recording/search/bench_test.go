package search

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/recording"
)

const (
	benchSessions = 1_000
	benchLines    = 200 // of each
)

// BenchmarkSearch searches in an archive of a thousand recordings, 200,000
// lines.
func BenchmarkSearch(b *testing.B) {
	w := newWorld(b)
	w.index.compare = false
	began, text := time.Now(), 0
	words := strings.Fields("systemctl status restart journalctl kernel error warning opened closed session root service unit active failed connection timeout breaker relay feeder voltage meter firmware upload checksum")
	for i := range benchSessions {
		p := &packer{}
		for j := range benchLines {
			l := fmt.Sprintf("Nov 22 %02d:%02d:%02d rtu-%d %s[%d]: %s %s %s %d", i%24, j%60, i%60, i%97, words[(i+j)%len(words)], i*j%30000, words[(i*j)%len(words)], words[(i+3*j)%len(words)], words[j%len(words)], i*benchLines+j)
			if j == 0 {
				l = fmt.Sprintf("$ scp /srv/firmware-%d.bin rtu:", i)
			}
			text += len(l)
			must(b, p.add(line{at: time.Duration(j) * time.Second, kind: Output, text: l}))
		}
		must(b, p.flush())
		info := recording.Info{Meta: recording.Meta{Session: fmt.Sprintf("ses_%06d", i), Vendor: fmt.Sprint("vendor-", i%50), Person: "ana", Target: fmt.Sprint("rtu-", i%97)}, Begun: w.now.Add(time.Duration(i) * time.Minute)}
		must(b, w.index.db.put(b.Context(), info, p))
	}
	made := time.Since(began)
	st, err := os.Stat(w.path)
	must(b, err)
	b.Logf("%d sessions, %d MiB of text in %s, file of %d MiB", benchSessions, text>>20, made.Round(time.Second), st.Size()>>20)
	for name, q := range map[string]Query{
		"one-of-all":    {Text: "firmware-17.bin"},
		"common":        {Text: "firmware", Limit: 50},
		"two-letters":   {Text: "cp", Limit: 50},
		"none":          {Text: "mimikatz"},
		"one-of-vendor": {Text: "firmware-1234.bin", Vendor: "vendor-34"},
		"phrase-none":   {Text: "meter relay firmware upload"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := w.index.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkScreen is how fast output goes through the emulator.
func BenchmarkScreen(b *testing.B) {
	p := []byte(strings.Repeat("\x1b[32mNov 22 10:00:00\x1b[m rtu-7 systemd[1]: Started Session 42 of user root.\r\n", 1000))
	b.SetBytes(int64(len(p)))
	s := newScreen(80, 24, func(time.Duration, Kind, string) {})
	for b.Loop() {
		s.write(0, p)
	}
}
