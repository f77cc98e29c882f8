package api

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// closed are the words of closed lists, by their types.
var closed = map[reflect.Type][]string{
	reflect.TypeFor[gateway.TargetKind](): spelled(gateway.KindSSH, gateway.KindHTTPS, gateway.KindNetwork),
	reflect.TypeFor[gateway.Impact]():     spelled(gateway.Low, gateway.Medium, gateway.High),
	reflect.TypeFor[gateway.TLSTrust]():   spelled(gateway.TrustSystem, gateway.TrustCA, gateway.TrustPin),
	reflect.TypeFor[gateway.HostRule]():   spelled(gateway.HostTarget, gateway.HostApp),
	reflect.TypeFor[gateway.ProofKind](): spelled(gateway.ProofCertificate, gateway.ProofKey, gateway.ProofPassword, gateway.ProofHeader,
		gateway.ProofBearer, gateway.ProofOAuth2, gateway.ProofForm, gateway.ProofNone),
}

func spelled[T ~string](list ...T) []string {
	all := make([]string, len(list))
	for i, w := range list {
		all[i] = string(w)
	}
	return all
}

// says are descriptions, by type and field, of what its name does not tell.
var says = map[string]string{
	"Target.address": "host:port", "TargetDefine.address": "host:port",
	"Target.https": "Of kind https, and of no other", "TargetDefine.https": "Of kind https, and of no other",
	"HTTPS.trust":         "How the target proves its name: by the machine's own authorities, by the named ones alone, or by the named keys alone",
	"HTTPS.ca":            "Of trust ca: PEM, the certificates that may sign the target's",
	"HTTPS.pins":          "Of trust pin: sha256:HEX of a SubjectPublicKeyInfo (RFC 7469 clause 2.4); the certificate may be self-signed",
	"HTTPS.server_name":   "What SNI says and the certificate must name; by default the address's host",
	"HTTPS.host":          "Which name the target hears in Host, Origin and Referer: its own (the default), or the one in the engineer's browser",
	"HTTPS.redact":        "Names of headers, query parameters and fields of forms and JSON whose values are never recorded, besides those that never are",
	"Account.secret_file": "Path on the node; the secret itself is never in the store, nor here",
	"Account.header":      "Of proof header: its name",
	"Account.token_url":   "Of proof oauth2: https, at the target or beside it",
	"Account.scopes":      "Of proof oauth2",
	"Account.form":        "Of proof form",
	"Form.page":           "Path of the page with the form; its hidden fields and cookies are taken over. A later redirect to it, or 401, says that the login has ended",
	"Form.action":         "Path that the form is sent to",
	"Form.user":           "Name of the field for the account's login",
	"Form.password":       "Name of the field for the secret",
	"Form.done":           "Status that says it was taken; by default any below 400",
	"Form.token":          "Dotted path into the JSON of the answer: a bearer token for every later request",
	"Form.failed":         "Text in the answer that says it was refused",
	"Form.cookie":         "Name of the cookie that the answer must set",
}

// schemas are the components that the description speaks of, read from the
// types that are answered and taken.
func schemas() map[string]any {
	all := map[string]any{}
	for _, t := range []reflect.Type{reflect.TypeFor[gateway.Target](), reflect.TypeFor[statement.TargetDefine]()} {
		schemaOf(t, all)
	}
	return all
}

// schemaOf describes a type; a struct becomes a component of its name.
func schemaOf(t reflect.Type, all map[string]any) map[string]any {
	switch {
	case closed[t] != nil:
		return oneOf(closed[t]...)
	case t == reflect.TypeFor[time.Time]():
		return str("date-time")
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return str("")
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), all)
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), all)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), all)}
	case reflect.Struct:
		if all[t.Name()] == nil {
			all[t.Name()] = true // it may hold itself
			all[t.Name()] = object(t, all)
		}
		return ref(t.Name())
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return str("")
	}
	return map[string]any{"type": "integer"}
}

func object(t reflect.Type, all map[string]any) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		name, rest, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		p := schemaOf(t.Field(i).Type, all)
		if word := says[t.Name()+"."+name]; word != "" {
			p["description"] = word
		}
		properties[name] = p
		if rest == "" {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func ref(name string) map[string]any {
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// answers are the schemas of what routes answer with 200, by their patterns.
var answers = map[string]map[string]any{
	"GET /targets":        {"type": "object", "properties": map[string]any{"items": map[string]any{"type": "array", "items": ref("Target")}, "next": str("")}},
	"GET /targets/{name}": ref("Target"),
}

// bodies are the schemas of what routes take.
var bodies = map[string]map[string]any{
	"POST /acts": {"type": "object", "required": []string{"kind"}, "properties": map[string]any{"kind": str(""), "params": map[string]any{"type": "object"}},
		"if":   map[string]any{"properties": map[string]any{"kind": map[string]any{"const": string(statement.KindTarget)}}},
		"then": map[string]any{"properties": map[string]any{"params": ref("TargetDefine")}}},
}

func asJSON(schema map[string]any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": schema}}
}
