// A real OpenID provider for the tests: node provider.mjs PORT ACCOUNTS CLIENT SECRET REDIRECT...
// ACCOUNTS is JSON, login -> {email, email_verified}. Any password does.
// It prints "ready ISSUER" when it listens.
import Provider from 'oidc-provider';

const [port, accounts, clientId, secret, ...redirects] = process.argv.slice(2);
const people = JSON.parse(accounts);
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: clientId,
    client_secret: secret,
    redirect_uris: redirects,
    grant_types: ['authorization_code'],
    response_types: ['code'],
  }],
  scopes: ['openid', 'email', 'profile'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: true } },
  pkce: { required: () => true },
  async findAccount(_ctx, id) {
    const person = people[id];
    if (!person) return undefined;
    return { accountId: id, claims: async () => ({ sub: id, name: id, ...person }) };
  },
});

provider.listen(Number(port), '127.0.0.1', () => console.log(`ready ${issuer}`));
