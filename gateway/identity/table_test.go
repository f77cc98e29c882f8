package identity

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTableIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	tab := newTable[int](func() time.Time { return now }, 6, 2)
	first, _ := tab.put("eve", 1, now.Add(time.Minute))
	for range 5 {
		tab.put("eve", 2, now.Add(time.Minute))
	}
	if tab.len() != 2 {
		t.Fatalf("eve has %d entries, may have 2", tab.len())
	}
	if _, ok := tab.get(first, "eve"); ok {
		t.Fatal("eve's oldest did not give way")
	}
	for i := range 4 {
		if _, ok := tab.put(fmt.Sprint("p", i), i, now.Add(time.Minute)); !ok {
			t.Fatal("the table is full too early")
		}
	}
	if _, ok := tab.put("late", 0, now.Add(time.Minute)); ok {
		t.Fatal("the table took more than it may")
	}
	if tab.len() != 6 {
		t.Fatal("a newcomer pushed somebody out")
	}
	now = now.Add(time.Minute)
	id, ok := tab.put("late", 7, now.Add(time.Minute))
	if !ok || tab.len() != 1 {
		t.Fatal("what has expired still takes room")
	}
	if _, ok := tab.take(id, "eve"); ok {
		t.Fatal("eve took what is not hers")
	}
	if v, ok := tab.take(id, "late"); !ok || v != 7 {
		t.Fatal("the owner could not take his own")
	}
}

func TestTableGivesOnce(t *testing.T) {
	tab := newTable[int](time.Now, 8, 8)
	id, _ := tab.put("eve", 1, time.Now().Add(time.Hour))
	var got atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, ok := tab.take(id, "eve"); ok {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 1 {
		t.Fatalf("taken %d times", got.Load())
	}
}

func TestSealIsForOnePurposeAndTime(t *testing.T) {
	now := time.Unix(1000, 0)
	s, err := newSealer(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.seal("login", "hello", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := s.open("login", text, &got); err != nil || got != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	if s.open("oidc", text, &got) == nil {
		t.Fatal("opened for another purpose")
	}
	flipped := []byte(text)
	for i := range flipped {
		flipped[i] ^= 1
		if s.open("login", string(flipped), &got) == nil {
			t.Fatalf("opened with character %d changed", i)
		}
		flipped[i] ^= 1
	}
	again, err := newSealer(s.now)
	if err != nil {
		t.Fatal(err)
	}
	if again.open("login", text, &got) == nil {
		t.Fatal("opened after a restart")
	}
	now = now.Add(time.Minute)
	if s.open("login", text, &got) == nil {
		t.Fatal("opened too late")
	}
}

func FuzzOpenSealed(f *testing.F) {
	s, err := newSealer(time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		if s.open("login", text, &v) == nil {
			t.Fatal("opened what was never sealed")
		}
	})
}

func FuzzParseAssertion(f *testing.F) {
	f.Add([]byte(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","signature":"AAAA"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if a, err := parseAssertion(raw); err == nil {
			proof(a)
		}
	})
}
