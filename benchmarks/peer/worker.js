// One UPDATE a job, found by the key (store, product). Begins when a line comes on standard input.
'use strict';
const { Worker } = require('bullmq');
const { Pool } = require('pg');
const { QUEUE, connect } = require('./queue');

const CONCURRENCY = Number(process.env.CONCURRENCY || 50);
const CONNECTIONS = Number(process.env.CONNECTIONS || 10);
const SELL = {
  name: 'sell', // prepared once a connection
  text: 'UPDATE stock SET quantity = quantity - $1, updated_at = now() WHERE store_id = $2 AND product_id = $3',
};

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: CONNECTIONS });

async function sell(job) {
  const { quantity, store_id, product_id } = job.data;
  await pool.query({ ...SELL, values: [quantity, store_id, product_id] });
}

async function main() {
  const worker = new Worker(QUEUE, sell, { connection: connect(), concurrency: CONCURRENCY, autorun: false });
  worker.on('error', (error) => console.error(error.message));
  await worker.waitUntilReady();
  await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.query('SELECT pg_sleep(0.05)')));
  console.log('ready');
  process.stdin.once('data', () => worker.run());
  process.stdin.once('end', () => process.exit(0));
}

main();
