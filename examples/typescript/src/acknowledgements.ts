// Reads acknowledgements in JSON (kafka.format = json or json-registry) and prints each as a line of JSON.
// A gap of a session is printed to standard error.

import { parseArgs } from "node:util";
import { Kafka, logLevel, type Consumer, type EachMessagePayload, type KafkaConfig, type KafkaMessage } from "kafkajs";

const HELP = `Usage: npm start -- [options]

  --bootstrap ADDRESSES  Kafka's addresses, with commas between them. Default: 127.0.0.1:9092
  --prefix PREFIX        prefix of the topics. Default: gws
  --group GROUP          consumer group. Default: acknowledgements-typescript
  --events N             end after N events. Default: never`;

/** Some of the members of an acknowledgement. The events have more, and members may be added at any time. */
interface Acknowledgement {
  notificationType: string;
  referenceId: string | null;
  recordHandle: number | null;
}

interface Session {
  account: string;
  change: string;
  from: string | null;
  to: string | null;
}

interface Options {
  bootstrap: string;
  prefix: string;
  group: string;
  events: number;
}

/** An error whose text is all that the user needs to see. */
class Failure extends Error {
  constructor(text: string, readonly code = 1) {
    super(text);
  }
}

function options(): Options {
  try {
    const { values } = parseArgs({
      options: {
        bootstrap: { type: "string", default: "127.0.0.1:9092" },
        prefix: { type: "string", default: "gws" },
        group: { type: "string", default: "acknowledgements-typescript" },
        events: { type: "string", default: "0" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      process.exit(0);
    }
    if (!/^\d+$/.test(values.events)) {
      throw new Error("--events must be a number");
    }
    return { ...values, events: Number(values.events) };
  } catch (error) {
    throw new Failure(`${reason(error)}\n\n${HELP}`, 2);
  }
}

/** Ends with the program's exit code: 0 after so many events, or 130 after Ctrl-C. */
async function consume(given: Options, stopped: Promise<number>): Promise<number> {
  const settings: KafkaConfig = {
    clientId: "acknowledgements-typescript",
    brokers: given.bootstrap.split(","),
    connectionTimeout: 5_000,
    logLevel: logLevel.ERROR,
    // It also tells of tries that failed and are repeated.
    logCreator: () => ({ log }) => process.stderr.write(`kafkajs: ${log.message}${log.error ? `: ${log.error}` : ""}\n`),
  };
  const topics = [`${given.prefix}.acknowledgements.v1`, `${given.prefix}.sessions.v1`];
  await check(new Kafka({ ...settings, logLevel: logLevel.NOTHING }), given, topics);
  const kafka = new Kafka(settings);
  const consumer = kafka.consumer({
    groupId: given.group,
    allowAutoTopicCreation: false,
    // With true, events of transactions that were aborted, and came again, show as well.
    readUncommitted: false,
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: true });
    return await Promise.race([stopped, run(consumer, given.events)]);
  } finally {
    await consumer.disconnect();
  }
}

/** Asks Kafka for its topics, which creates none. */
async function check(kafka: Kafka, given: Options, topics: string[]): Promise<void> {
  const admin = kafka.admin({ retry: { retries: 1 } });
  let present: string[];
  try {
    await admin.connect();
    present = await admin.listTopics();
  } catch (error) {
    throw new Failure(
      `no Kafka answers at ${given.bootstrap} (${reason(error)}); does it run, and is --bootstrap right?`,
    );
  } finally {
    await admin.disconnect();
  }
  const missing = topics.filter((topic) => !present.includes(topic));
  if (missing.length > 0) {
    throw new Failure(`there is no topic ${missing.join(", ")}; is --prefix right, and has the bridge run?`);
  }
}

/** Reads for ever, or until so many events have come. */
function run(consumer: Consumer, events: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let read = 0;
    let ended = false;
    const eachMessage = async ({ topic, partition, message }: EachMessagePayload): Promise<void> => {
      if (ended) {
        return;
      }
      try {
        handle(topic, partition, message);
      } catch (error) {
        ended = true;
        reject(error);
        return;
      }
      read += 1;
      ended = read === events;
      // Offsets are committed after the work, so a crash repeats some events and loses none. The work must be the same
      // when it is done twice, or remember ce_source and ce_id as the Python example does.
      await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
      if (ended) {
        resolve(0);
      }
    };
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) {
        reject(new Failure(`reading has failed: ${payload.error.message}`));
      }
    });
    consumer.run({ autoCommit: false, eachMessage }).catch(reject);
  });
}

/** Deals with one event. */
function handle(topic: string, partition: number, message: KafkaMessage): void {
  const place = `${topic}/${partition}@${message.offset}`;
  const header = (name: string): string => String(message.headers?.[name] ?? "");
  switch (header("ce_type")) {
    case "gws.acknowledgement.v1": {
      const { notificationType, referenceId, recordHandle } = decode<Acknowledgement>(place, message.value);
      // The id is the same each time that an event comes.
      const id = header("ce_id");
      console.log(JSON.stringify({ id, key: String(message.key), notificationType, referenceId, recordHandle }));
      break;
    }
    case "gws.session.v1": {
      const { account, change, from, to } = decode<Session>(place, message.value);
      if (change === "gap") {
        // Acknowledgements may be missing, and no event will ever tell: ask Web Services.
        console.error(`gap of ${account}: nothing is known from ${from ?? "an unknown time"} to ${to}`);
      }
    }
  }
}

/** Decodes the JSON of a value. With kafka.format = json-registry a frame of five bytes comes before it. */
function decode<T>(place: string, value: Buffer | null): T {
  const json = value?.[0] === 0 ? value.subarray(5) : value;
  try {
    return JSON.parse(String(json)) as T;
  } catch (error) {
    const told = "this example reads kafka.format = json or json-registry";
    throw new Failure(`${place} is not JSON (${reason(error)}); ${told}`);
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function main(): Promise<number> {
  const stopped = new Promise<number>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => {
        console.error("stopped; the next start continues here");
        resolve(130);
      });
    }
  });
  try {
    return await Promise.race([stopped, consume(options(), stopped)]);
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    return error instanceof Failure ? error.code : 1;
  }
}

void main().then((code) => process.exit(code));
