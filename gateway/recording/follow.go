package recording

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/portcullis/portcullis/gateway"
)

// Follow tells what is shown in a session, from its beginning and then as it
// comes, until the recording is sealed (nil), ctx ends (its cause), or tell
// answers an error (that error). A follower reads from the disk at its own
// pace: a slow one is behind, and holds up neither the session nor another. A
// recording that this process does not write is told as far as it goes.
func (v *Vault) Follow(ctx context.Context, session string, tell func(Frame) error) error {
	c := newCaster()
	return v.follow(ctx, session, func(f frame) error {
		for _, e := range c.events(f) {
			if err := tell(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// FollowCast is Follow as the lines of an asciicast v2, its header first.
func (v *Vault) FollowCast(ctx context.Context, session string, line func([]byte) error) error {
	info, err := v.Find(session)
	if err != nil {
		return err
	}
	c := &castWriter{version: 2, info: info, caster: newCaster(), line: line}
	if err := v.follow(ctx, session, c.frame); err != nil {
		return err
	}
	if c.info, err = v.Find(session); err != nil {
		return err
	}
	return c.finish(nil)
}

func (v *Vault) follow(ctx context.Context, session string, tell func(frame) error) error {
	dir, err := v.find(session)
	if err != nil {
		return err
	}
	bell := make(chan struct{}, 1)
	var over <-chan struct{}
	if r := v.recorderOf(session); r != nil {
		r.out.watch(bell)
		defer r.out.unwatch(bell)
		over = r.over
	}
	t := newTape(dir, output)
	defer t.close()
	for {
		end, err := tellAll(ctx, t, tell)
		if err != nil {
			return err
		}
		if over == nil {
			return v.damaged(dir, end)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-bell:
		case <-over:
			over = nil // read what came since, then leave
		}
	}
}

// tellAll tells what is there by now; end is io.EOF or errTorn.
func tellAll(ctx context.Context, t *tape, tell func(frame) error) (end, err error) {
	for {
		f, err := t.next()
		switch {
		case isEnd(err):
			return err, nil
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		if err := tell(f); err != nil {
			return nil, err
		}
	}
}

// damaged is nil unless a sealed recording ends in a torn frame, which no
// sealed one may.
func (v *Vault) damaged(dir string, end error) error {
	if !errors.Is(end, errTorn) || !exists(filepath.Join(dir, sealName)) {
		return nil
	}
	return gateway.Conflict("recording", "recording %s is damaged: %s", filepath.Base(dir), end)
}
