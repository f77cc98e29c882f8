package search

import (
	"context"
	"errors"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

// Run indexes what is missing, then what ends, until ctx does. It is the one
// writer, and answers nil.
func (x *Index) Run(ctx context.Context) error {
	for {
		x.catchUp(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-x.bell:
		}
	}
}

// catchUp does all that is to be done by now.
func (x *Index) catchUp(ctx context.Context) {
	for ctx.Err() == nil {
		session, compare, remake := x.turn()
		switch {
		case remake:
			x.log.Warn("the search index is damaged and is made anew", "file", x.path)
			if err := x.anew(); err != nil {
				x.log.Error("no search index", "error", err)
				return
			}
		case session != "":
			x.index(ctx, session)
		case compare:
			if err := x.all(ctx); err != nil && ctx.Err() == nil {
				x.log.Error("recordings not compared with the search index", "error", err)
			}
		default:
			return
		}
	}
}

// turn answers what is next: a damaged file, a session that has ended, the
// comparison.
func (x *Index) turn() (session string, compare, remake bool) {
	x.waitMu.Lock()
	defer x.waitMu.Unlock()
	switch {
	case x.remake:
		x.remake, x.compare = false, true
		return "", false, true
	case len(x.queue) > 0:
		session, x.queue = x.queue[0], x.queue[1:]
		return session, false, false
	case x.compare:
		x.compare = false
		return "", true, false
	}
	return "", false, false
}

// all indexes the recordings that are not in the index, newest first, and
// takes out those that are gone.
func (x *Index) all(ctx context.Context) error {
	missing, gone, err := x.compared(ctx)
	if err != nil {
		return err
	}
	x.waitMu.Lock()
	x.failed = 0
	x.waitMu.Unlock()
	for _, name := range gone {
		if err := x.use(func(d *database) error { return d.remove(ctx, name) }); err != nil {
			return err
		}
	}
	for i, name := range missing {
		x.left(len(missing) - i)
		for { // what ends meanwhile is likelier to be asked for
			x.waitMu.Lock()
			waiting := len(x.queue) > 0
			x.waitMu.Unlock()
			if !waiting || ctx.Err() != nil {
				break
			}
			session, _, _ := x.turn()
			x.index(ctx, session)
		}
		if ctx.Err() != nil || x.damaged() {
			return context.Cause(ctx)
		}
		x.index(ctx, name)
	}
	x.left(0)
	return nil
}

func (x *Index) left(n int) {
	x.waitMu.Lock()
	defer x.waitMu.Unlock()
	x.missing = n
}

func (x *Index) damaged() bool {
	x.waitMu.Lock()
	defer x.waitMu.Unlock()
	return x.remake
}

// compared answers the recordings that are not indexed, and the indexed ones
// that are no recordings any more.
func (x *Index) compared(ctx context.Context) (missing, gone []string, err error) {
	var have map[string]bool
	if err := x.use(func(d *database) (err error) { have, err = d.sessions(ctx); return err }); err != nil {
		return nil, nil, err
	}
	q := recording.Query{Limit: recording.MaxPage}
	for {
		page, err := x.recs.List(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		for _, info := range page {
			if !have[info.Session] && info.State != recording.Live {
				missing = append(missing, info.Session)
			}
			delete(have, info.Session)
			q.Before = info.Session
		}
		if len(page) < recording.MaxPage {
			break
		}
	}
	for name := range have {
		gone = append(gone, name)
	}
	return missing, gone, nil
}

// index puts one recording into the index.
func (x *Index) index(ctx context.Context, session string) {
	err := x.recs.Room()
	if err == nil {
		err = x.add(ctx, session)
	}
	x.waitMu.Lock()
	delete(x.ended, session)
	if err != nil {
		x.failed++
	}
	x.waitMu.Unlock()
	if err != nil && ctx.Err() == nil {
		x.log.Error("recording not indexed", "session", session, "error", err)
	}
}

func (x *Index) add(ctx context.Context, session string) error {
	info, err := x.recs.Find(session)
	if errors.Is(err, gateway.ErrNotFound) || gateway.IsCode(err, gateway.CodeNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p := &packer{}
	e := newExtractor(p.fill)
	err = x.recs.Events(ctx, session, e.event)
	if err == nil {
		err = e.finish()
	}
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.cut = p.cut || e.cut
	return x.use(func(d *database) error { return d.put(ctx, info, p) })
}
