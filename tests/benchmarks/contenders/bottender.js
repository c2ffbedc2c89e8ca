// The session stores of Bottender, in a process of their own: the same lines of JSON as `tests/benchmarks/worker.py`.
// A turn is what its bots do for an event: read the session, change its state, stamp it, write it.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { performance } = require('perf_hooks');

const modules = process.argv[2];
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const storeClass = (name) => require(path.join(modules, 'bottender', 'dist', 'session', name)).default;

function openStore(job) {
  if (job.driver === 'memory') return new (storeClass('MemorySessionStore'))();
  if (job.driver === 'file') return new (storeClass('FileSessionStore'))(path.join(job.place, 'sessions'));
  return new (storeClass('RedisSessionStore'))(job.place);
}

function makeTurn(store, job) {
  return async (id) => {
    const session = (await store.read(id)) || { id, _state: JSON.parse(JSON.stringify(job.state)) };
    session._state.turns += 1;
    session.lastActivity = Date.now();
    const counted = session._state.turns;
    await store.write(id, session);
    return counted;
  };
}

function percentile(ordered, percent) {
  return ordered.length ? ordered[Math.ceil((ordered.length * percent) / 100) - 1] : 0;
}

async function talk(turn, id, end, round, totals) {
  for (let begin = performance.now(); begin < end; begin = performance.now()) {
    // A message comes in through the event loop.
    await new Promise(setImmediate);
    try {
      await turn(id);
      round.latencies.push((performance.now() - begin) / 1000);
      totals.saved[id] += 1;
    } catch (error) {
      round.failures[error.name] = (round.failures[error.name] || 0) + 1;
      totals.failed[id] += 1;
    }
  }
}

async function run(turn, ids, seconds, totals) {
  const round = { latencies: [], failures: {} };
  const begin = performance.now();
  const cpuBegin = process.cpuUsage();
  await Promise.all(ids.map((id) => talk(turn, id, begin + seconds * 1000, round, totals)));
  const elapsed = (performance.now() - begin) / 1000;
  const cpu = process.cpuUsage(cpuBegin);
  const ordered = Float64Array.from(round.latencies).sort();
  return {
    turns: ordered.length,
    seconds: elapsed,
    p50: percentile(ordered, 50),
    p99: percentile(ordered, 99),
    cpu: (cpu.user + cpu.system) / 1e6,
    failures: round.failures,
  };
}

async function check(turn, totals) {
  let sum = 0;
  for (const [id, saved] of Object.entries(totals.saved)) {
    const counted = (await turn(id)) - 1;
    if (counted < saved || counted > saved + totals.failed[id]) {
      throw new Error(`${saved} turns were done, and ${counted} were counted`);
    }
    sum += saved;
  }
  return sum;
}

function peakMemory() {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'ascii'))[1]) * 1024;
  } catch (error) {
    return process.resourceUsage().maxRSS * 1024;
  }
}

async function serve() {
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  const job = await next();
  const turn = makeTurn(await openStore(job).init(), job);
  const zero = () => Object.fromEntries(job.session_ids.map((id) => [id, 0]));
  const totals = { saved: zero(), failed: zero() };
  say({});
  for (let order = await next(); typeof order.seconds === 'number'; order = await next()) {
    say({ round: await run(turn, job.session_ids, order.seconds, totals) });
  }
  const peak = peakMemory();
  say({ turns: await check(turn, totals), peak_bytes: peak });
}

serve()
  .catch((error) => say({ error: `${error.name}: ${error.message}` }))
  .finally(() => setImmediate(() => process.exit(0)));
