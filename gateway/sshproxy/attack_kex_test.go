package sshproxy_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"testing"

	"golang.org/x/crypto/ssh"
)

func (e *rawEnd) kexInit() []byte {
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie)
	b := append([]byte(nil), cookie...)
	const gcm, mac = "aes128-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com"
	for _, list := range []string{"curve25519-sha256" + e.more, "ssh-ed25519", gcm, gcm, mac, mac, "none", "none", "", ""} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
		b = append(b, list...)
	}
	return message(msgKexInit, append(b, 0, 0, 0, 0, 0))
}

// exchange agrees on keys, the first or further ones.
func (e *rawEnd) exchange() error {
	if err := e.begin(); err != nil {
		return err
	}
	return e.finish()
}

// begin sends a KEXINIT and reads the other's.
func (e *rawEnd) begin() (err error) {
	e.ownInit = e.kexInit()
	if err := e.send(e.ownInit); err != nil {
		return err
	}
	e.farInit, err = e.until(msgKexInit)
	return err
}

func (e *rawEnd) finish() error {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	var hostKey, client, server, farPoint []byte
	if e.host == nil {
		if err := e.send(message(msgKexECDHInit, struct{ Q []byte }{key.PublicKey().Bytes()})); err != nil {
			return err
		}
		p, err := e.until(msgKexECDHReply)
		if err != nil {
			return err
		}
		var m struct{ K, Q, Sig []byte }
		if err := ssh.Unmarshal(p[1:], &m); err != nil {
			return err
		}
		hostKey, client, server, farPoint = m.K, key.PublicKey().Bytes(), m.Q, m.Q
	} else {
		p, err := e.until(msgKexECDHInit)
		if err != nil {
			return err
		}
		var m struct{ Q []byte }
		if err := ssh.Unmarshal(p[1:], &m); err != nil {
			return err
		}
		hostKey, client, server, farPoint = e.host.PublicKey().Marshal(), m.Q, key.PublicKey().Bytes(), m.Q
	}
	far, err := ecdh.X25519().NewPublicKey(farPoint)
	if err != nil {
		return err
	}
	shared, err := key.ECDH(far)
	if err != nil {
		return err
	}
	k := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(shared)})
	h := e.digest(hostKey, client, server, k)
	if e.host != nil {
		sig, err := e.host.Sign(rand.Reader, h)
		if err != nil {
			return err
		}
		if err := e.send(message(msgKexECDHReply, struct{ K, Q, Sig []byte }{hostKey, server, ssh.Marshal(sig)})); err != nil {
			return err
		}
	}
	return e.turn(k, h)
}

// digest is the exchange hash (RFC 5656 clause 4, RFC 8731).
func (e *rawEnd) digest(hostKey, client, server, k []byte) []byte {
	vc, vs, ic, is := e.own, e.far, e.ownInit, e.farInit
	if e.host != nil {
		vc, vs, ic, is = vs, vc, is, ic
	}
	all := ssh.Marshal(struct {
		VC, VS               string
		IC, IS, Host, QC, QS []byte
	}{vc, vs, ic, is, hostKey, client, server})
	h := sha256.Sum256(append(all, k...))
	return h[:]
}

// turn takes the new keys into use (RFC 4253 clause 7.2 and 7.3).
func (e *rawEnd) turn(k, h []byte) error {
	if e.id == nil {
		e.id = h
	}
	keys := func(iv, key byte) *rawKeys {
		part := func(x byte, n int) []byte {
			d := sha256.Sum256(bytes.Join([][]byte{k, h, {x}, e.id}, nil))
			return d[:n]
		}
		block, err := aes.NewCipher(part(key, 16))
		if err != nil {
			panic(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			panic(err)
		}
		return &rawKeys{aead, part(iv, 12)}
	}
	out, in := keys('A', 'C'), keys('B', 'D')
	if e.host != nil {
		out, in = in, out
	}
	if err := e.send([]byte{msgNewKeys}); err != nil {
		return err
	}
	e.out = out
	if _, err := e.until(msgNewKeys); err != nil {
		return err
	}
	e.in = in
	return nil
}

// keyed is a raw client after its key exchange.
func keyed(t testing.TB, addr string) *rawEnd {
	t.Helper()
	e := rawClient(t, addr, "")
	if err := e.exchange(); err != nil {
		t.Fatalf("key exchange: %v", err)
	}
	return e
}
