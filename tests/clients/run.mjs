// Runs every scenario against BASE_URL, and those of `attested` against a cluster of their own, one after the other. The last line is "N passed, N failed".
import anthropic from './anthropic.mjs';
import ai from './ai.mjs';
import attested, { tearDown } from './attested.mjs';
import openai from './openai.mjs';

let passed = 0;
let failed = 0;
for (const [client, scenarios] of Object.entries({ openai, anthropic, ai, attested }))
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      await scenario();
      passed++;
      console.log(`ok    ${client}: ${name}`);
    } catch (error) {
      failed++;
      const body = error.responseBody ?? error.lastError?.responseBody ?? '';
      console.log(`FAIL  ${client}: ${name}: ${error.name}: ${error.message} ${body}`);
    }
  }
await tearDown();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
