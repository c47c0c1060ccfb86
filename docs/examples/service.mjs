// A service behind a gateway: verifies access tokens with Node.js alone, without packages.
import { createPublicKey, verify } from 'node:crypto';
import { createServer } from 'node:http';

const issuer = process.env.LATCHKEY_ISSUER;
const audience = process.env.LATCHKEY_AUDIENCE ?? 'latchkey';

// How to verify a signature of each algorithm (RFC 7518, RFC 8037).
const algorithms = {
  RS256: (data, key, signature) => verify('sha256', data, key, signature),
  ES256: (data, key, signature) =>
    verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature),
  EdDSA: (data, key, signature) => verify(null, data, key, signature),
};

const json = async (url) => {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
};

const document = await json(`${issuer}/.well-known/openid-configuration`);
if (document.issuer !== issuer) throw new Error(`${issuer} describes another issuer`);

let keys = new Map();
let fetchedAt = -Infinity;

// Caches the keys for a minute, and fetches them for an unknown key id at most every ten seconds.
const keyOf = async (kid) => {
  const age = Date.now() - fetchedAt;
  if (age > 60_000 || (!keys.has(kid) && age > 10_000)) {
    const set = await json(document.jwks_uri);
    keys = new Map(set.keys.map((jwk) => [jwk.kid, jwk]));
    fetchedAt = Date.now();
  }
  return keys.get(kid);
};

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

// The claims of the user, or undefined if the token is not valid.
const userOf = async (authorization = '') => {
  const [, token] = /^bearer (\S+)$/i.exec(authorization) ?? [];
  const parts = token?.split('.');
  if (parts?.length !== 3) return undefined;
  try {
    const jwk = await keyOf(decoded(parts[0]).kid);
    // The published key determines the algorithm, never the token.
    const isGenuine = algorithms[jwk?.alg];
    const key = isGenuine && createPublicKey({ key: jwk, format: 'jwk' });
    const data = Buffer.from(`${parts[0]}.${parts[1]}`);
    if (!key || !isGenuine(data, key, Buffer.from(parts[2], 'base64url'))) return undefined;
    const claims = decoded(parts[1]);
    const isCurrent = claims.exp > Date.now() / 1000;
    const isForUs = claims.iss === issuer && [claims.aud].flat().includes(audience);
    return isCurrent && isForUs ? claims : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

const server = createServer(async (request, response) => {
  let status = 503;
  let body = { errors: ['server.unavailable'] };
  try {
    const user = await userOf(request.headers.authorization);
    status = user ? 200 : 401;
    body = user
      ? { orders: [], of: user.uid, role: user.role }
      : { errors: ['authz.invalid_token'] };
  } catch (error) {
    console.error(error.message);
  }
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
