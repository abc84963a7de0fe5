// SPDX-License-Identifier: Apache-2.0
// node root_verifier.cjs TRUSTED_ROOT.json < {"entry": …} | {"bundle": …, "keys": {HINT: PublicKey}}
// A log entry by its inclusion proof and checkpoint, or a bundle by managed keys with their windows: npm's
// @sigstore/verify under the trusted root of a file.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
// The packages are in the working directory, not beside this file.
const load = createRequire(`${process.cwd()}/`);
const { bundleFromJSON } = load('@sigstore/bundle');
const { PublicKey, TransparencyLogEntry, TrustedRoot } = load('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = load('@sigstore/verify');
const { verifyTLogInclusion } = load('@sigstore/verify/dist/tlog');

const given = JSON.parse(readFileSync(0, 'utf8'));
const keys = Object.entries(given.keys || {}).map(([hint, key]) => [hint, PublicKey.fromJSON(key)]);
const root = TrustedRoot.fromJSON(JSON.parse(readFileSync(process.argv[2], 'utf8')));
const trust = toTrustMaterial(root, Object.fromEntries(keys));
try {
  if (given.entry) {
    verifyTLogInclusion(TransparencyLogEntry.fromJSON(given.entry), trust.tlogs);
  } else {
    const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
    verifier.verify(toSignedEntity(bundleFromJSON(given.bundle)));
  }
  console.log('verified');
} catch (fault) {
  console.log(fault.code || fault.name);
  process.exitCode = 3;
}
