package webtest

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

// visits are what the sample consoles were asked.
var visits = []recording.Visit{
	{N: 1, At: 2 * time.Second, Took: 80 * time.Millisecond, Kind: recording.VisitPage, Method: "GET", URL: "/", Status: 200, Type: "text/html", Shown: 18_204},
	{N: 2, At: 2*time.Second + 200*time.Millisecond, Took: 9 * time.Millisecond, Kind: recording.VisitPart, Method: "GET", URL: "/style.css", Status: 200, Type: "text/css", Shown: 4_101},
	{N: 3, At: 21 * time.Second, Took: 120 * time.Millisecond, Kind: recording.VisitForm, Method: "POST", URL: "/pumps/7/setpoint", Status: 303, Sent: 41},
	{N: 4, At: 48 * time.Second, Took: 3 * time.Second, Kind: recording.VisitFile, Method: "GET", URL: "/export?from=2026-11-01", Status: 200, Type: "text/csv", File: "export.csv", Shown: 8_204_112, SHA256: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"},
	{N: 5, At: 62 * time.Second, Kind: recording.VisitRefused, Method: "DELETE", URL: "/pumps/7", Refused: "this grant lets GET, HEAD, POST, and no DELETE", Rule: "abilities.methods"},
	{N: 6, At: 65 * time.Second, Took: 40 * time.Second, Kind: recording.VisitSocket, Method: "GET", URL: "/live", Status: 101, Messages: 412, Sent: 1_204, Shown: 94_022, Cut: "the session was ended by omar"},
}

// Timeline implements api.Recordings.
func (r recordings) Timeline(_ context.Context, id string, q recording.TimelineQuery) (recording.Timeline, error) {
	out := recording.Timeline{Visits: []recording.Visit{}, Counts: map[recording.VisitKind]int{}}
	for _, x := range visits {
		out.Counts[x.Kind]++
		if q.Fits(x) {
			out.Visits = append(out.Visits, x)
		}
	}
	return out, r.did("timeline %s", id)
}

// Visit implements api.Recordings.
func (r recordings) Visit(_ context.Context, id string, n uint32, typed bool) (recording.VisitDetail, error) {
	if err := r.did("visit %s %d typed %v", id, n, typed); err != nil {
		return recording.VisitDetail{}, err
	}
	if n == 0 || int(n) > len(visits) {
		return recording.VisitDetail{}, gateway.NotFound("exchange", "that number")
	}
	x := visits[n-1]
	d := recording.VisitDetail{
		Visit: x, Redacted: x.Kind == recording.VisitForm,
		Request:  &gateway.HTTPRecord{Method: x.Method, URL: x.URL, Header: []gateway.HTTPField{{Name: "Accept", Value: "text/html"}, {Name: "Cookie", Redacted: "9c1185a5c5e9fc54"}}},
		Response: &gateway.HTTPRecord{Status: x.Status, Header: []gateway.HTTPField{{Name: "Content-Type", Value: x.Type}}},
		End:      &gateway.HTTPRecord{Sent: &gateway.HTTPBody{Bytes: x.Sent, Kept: x.Sent}, Shown: &gateway.HTTPBody{Bytes: x.Shown, Kept: min(x.Shown, 1<<18)}},
	}
	if x.Kind == recording.VisitPage {
		d.ShownBody = []byte("<!doctype html>\n<title>Pumps</title>\n<script>alert(1)</script>\n")
	}
	if typed && x.Kind == recording.VisitForm {
		d.SentBody = []byte("rpm=1480&reason=typed-by-hand")
	}
	if x.Kind == recording.VisitSocket {
		d.Talk = []recording.HTTPEvent{
			{At: 66 * time.Second, Record: gateway.HTTPRecord{Part: gateway.HTTPMessage, Client: true, Opcode: 1, Shown: &gateway.HTTPBody{Bytes: 20}}},
			{At: 67 * time.Second, Record: gateway.HTTPRecord{Part: gateway.HTTPMessage, Opcode: 1, Shown: &gateway.HTTPBody{Bytes: 14}}, Body: []byte(`{"rpm":1480.2}`)},
		}
		d.MoreTalk = 410
	}
	return d, nil
}
