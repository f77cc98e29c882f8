package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/chromedp"
)

// readQR finds a QR code in a picture and answers its bytes, of ISO 8859-1.
const readQR = `(async (jsqr, url) => {
	const image = new Image();
	image.src = url;
	await image.decode();
	const c = Object.assign(document.createElement('canvas'), {width: image.width, height: image.height}).getContext('2d');
	c.drawImage(image, 0, 0);
	const found = jsqr(c.getImageData(0, 0, image.width, image.height).data, image.width, image.height);
	return found ? String.fromCharCode(...found.binaryData) : 'no QR code is found';
})`

// qr reads the QR code of an element as a phone would that is held before the
// screen. Another, empty page does so: this one's policy lets no script of ours.
func (s *seat) qr(blank *seat, selector string) string {
	s.t.Helper()
	source, err := os.ReadFile(filepath.Join("node_modules", "jsqr", "dist", "jsQR.js"))
	if err != nil {
		s.t.Fatalf("jsQR is missing; run npm ci in e2e, or make test: %v", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, pageWithin)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.Screenshot(selector))
	if err != nil {
		s.t.Fatalf("take a picture of %s: %v", selector, err)
	}
	url := "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)
	return js[string](blank, fmt.Sprintf("(() => { const exports = {}, module = {exports}; %s\n; return %s(module.exports, %q) })()", source, readQR, url))
}
