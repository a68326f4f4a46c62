// Publishes CreateExecution on Kafka and follows the execution's events.
// Needs nothing of Flightlog but its Avro schemas (schemas/avro): `npm install` here,
// then `node publish.mjs --help`. publish.py does the same in Python.

import { randomUUID } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import avro from "avsc";
import { Kafka, Partitioners, logLevel } from "kafkajs";

const HERE = dirname(fileURLToPath(import.meta.url));
const MARKER = Buffer.from([0xc3, 0x01]); // Avro single-object encoding
const EMPTY = 0xc15d213aa4d7a795n; // CRC-64-AVRO, by the Avro specification
const ENDINGS = /^Execution(Succeeded|Failed|Aborted|TimedOut)$/;

const TABLE = Array.from({ length: 256 }, (_, byte) => {
  let value = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) value = (value >> 1n) ^ (EMPTY & -(value & 1n));
  return value;
});

function fingerprint(type) {
  let value = EMPTY;
  for (const byte of Buffer.from(JSON.stringify(type.schema()))) {
    value = (value >> 8n) ^ TABLE[Number((value ^ BigInt(byte)) & 0xffn)];
  }
  const digest = Buffer.alloc(8);
  digest.writeBigUInt64LE(value);
  return digest;
}

function loadSchemas(folder) {
  const found = new Map();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".avsc"))) {
    const schema = JSON.parse(readFileSync(join(folder, file), "utf8"));
    // Unions come as { branch: value } where needed, as in the Avro specification.
    const type = avro.Type.forSchema(schema, { wrapUnions: true });
    found.set(fingerprint(type).toString("hex"), type);
  }
  return found;
}

function encode(schemas, name, record) {
  const [digest, type] = [...schemas].find(([, type]) => type.name === name);
  return Buffer.concat([MARKER, Buffer.from(digest, "hex"), type.toBuffer(record)]);
}

function decode(schemas, body) {
  const type = schemas.get(body.subarray(2, 10).toString("hex"));
  return [type.name, type.fromBuffer(body.subarray(10))];
}

async function run(asked, launchPlan, inputs) {
  const schemas = loadSchemas(asked.schemas);
  const [project, domain, plan, version] = launchPlan.split("/");
  const name = asked.name || `published-${randomUUID().slice(0, 8)}`;
  const stream = `execution/${project}/${domain}/${name}`;
  const commandId = `publish.mjs/${randomUUID()}`;
  const command = {
    project,
    domain,
    name,
    launch_plan: { kind: "LAUNCH_PLAN", project, domain, name: plan, version },
    inputs_json: { string: inputs },
  };
  const kafka = new Kafka({
    brokers: asked.servers.split(","),
    clientId: "publish",
    logLevel: logLevel.ERROR,
  });
  const topic = `${asked.prefix}flightlog.events`;
  const events = kafka.consumer({ groupId: `publish-${randomUUID()}` });
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  const before = await ends(kafka, topic); // so that no event of ours is missed
  await Promise.all([events.connect(), producer.connect()]);
  try {
    await producer.send({
      topic: `${asked.prefix}flightlog.commands`,
      messages: [
        {
          key: stream, // the stream is the key: it gives the partition
          value: encode(schemas, "flightlog.v1.CreateExecution", command),
          headers: {
            ce_specversion: "1.0",
            ce_id: commandId,
            ce_type: "flightlog.v1.CreateExecution",
            ce_source: "/examples/publish",
            ce_subject: stream,
            ce_flightlogreply: "true", // refusals are told, too
          },
        },
      ],
    });
    return await follow(events, before, topic, schemas, stream, commandId);
  } finally {
    await Promise.all([events.disconnect(), producer.disconnect()]);
  }
}

async function ends(kafka, topic) {
  const admin = kafka.admin();
  await admin.connect();
  const found = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return found.map(({ partition, high }) => ({ topic, partition, offset: high }));
}

async function follow(events, before, topic, schemas, stream, commandId) {
  await events.subscribe({ topic }); // reads committed records only
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  await events.run({
    eachMessage: async ({ message }) => {
      if (message.key?.toString() !== stream) return;
      const [name, fields] = decode(schemas, message.value);
      if (name.endsWith(".CommandRejected") && fields.command_id === commandId) {
        console.error(`${fields.reason}: ${fields.detail}`);
        return ended(1);
      }
      const sequence = message.headers.ce_flightlogsequence?.toString() ?? "";
      const kind = name.split(".").pop();
      console.log(`${sequence.padStart(4)} ${kind} ${fields.node_id ?? ""}`);
      if (ENDINGS.test(kind)) ended(kind === "ExecutionSucceeded" ? 0 : 1);
    },
  });
  before.forEach((place) => events.seek(place));
  return end;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    servers: { type: "string", default: "localhost:9092" },
    prefix: { type: "string", default: "" },
    name: { type: "string", default: "" },
    schemas: { type: "string", default: join(HERE, "..", "..", "schemas", "avro") },
    help: { type: "boolean", default: false },
  },
});
if (values.help || positionals.length !== 2) {
  console.log(
    "node publish.mjs [--servers HOST:PORT] [--prefix P] [--name NAME] " +
      "PROJECT/DOMAIN/LAUNCH_PLAN/VERSION INPUTS_JSON",
  );
  process.exit(values.help ? 0 : 2);
}
process.exit(await run(values, ...positionals));
