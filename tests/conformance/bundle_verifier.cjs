// SPDX-License-Identifier: Apache-2.0
// node bundle_verifier.cjs KEY.pem < bundle: verified by npm's @sigstore/verify with a managed key and no log.
const { createPublicKey } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
// The packages are in the working directory, not beside this file.
const load = createRequire(`${process.cwd()}/`);
const { bundleFromJSON } = load('@sigstore/bundle');
const { TrustedRoot } = load('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = load('@sigstore/verify');

const publicKey = createPublicKey(readFileSync(process.argv[2]));
const empty = { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' };
const trust = toTrustMaterial(TrustedRoot.fromJSON(empty), () => ({ publicKey, validFor: () => true }));
const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
try {
  verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(readFileSync(0, 'utf8')))));
  console.log('verified');
} catch (fault) {
  console.log(fault.code || fault.name);
  process.exitCode = 3;
}
