// Reads acknowledgements in JSON (kafka.format = json or json-registry) and prints each as a line of JSON.
// A gap of a session is printed to standard error.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const startTimeout = 10 * time.Second

// acknowledgement has some of the members of an acknowledgement. Members that it does not have are ignored.
type acknowledgement struct {
	NotificationType string  `json:"notificationType"`
	ReferenceID      *string `json:"referenceId"`
	RecordHandle     *int64  `json:"recordHandle"`
}

// line is what the program prints for an acknowledgement. ID is the same each time that an event comes.
type line struct {
	ID  string `json:"id"`
	Key string `json:"key"`
	acknowledgement
}

type session struct {
	Account string `json:"account"`
	Change  string `json:"change"`
	From    string `json:"from"` // empty if it is not known
	To      string `json:"to"`
}

type options struct {
	bootstrap, prefix, group string
	events                   int
}

func main() {
	var given options
	flag.StringVar(&given.bootstrap, "bootstrap", "127.0.0.1:9092", "Kafka's `addresses`, with commas between them")
	flag.StringVar(&given.prefix, "prefix", "gws", "`prefix` of the topics")
	flag.StringVar(&given.group, "group", "acknowledgements-go", "consumer group")
	flag.IntVar(&given.events, "events", 0, "end after so many events (0: never)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unknown argument %q; see --help\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := consume(ctx, given)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "stopped; the next start continues here")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// consume reads until the context ends, or until so many events have come.
func consume(ctx context.Context, given options) error {
	topics := []string{given.prefix + ".acknowledgements.v1", given.prefix + ".sessions.v1"}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(given.bootstrap, ",")...),
		kgo.ConsumerGroup(given.group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// Without this, events of transactions that were aborted, and came again, show as well.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Offsets are committed after the work, so a crash repeats some events and loses none. The work must be the same
		// when it is done twice, or remember ce_source and ce_id as the Python example does.
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return fmt.Errorf("the options can't be used: %w", err)
	}
	defer client.CloseAllowingRebalance()
	if err := check(ctx, client, given, topics); err != nil {
		return err
	}
	for read := 0; ; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, failed := range fetches.Errors() {
			fmt.Fprintf(os.Stderr, "%s can't be read: %v\n", failed.Topic, failed.Err)
		}
		var done []*kgo.Record
		for _, record := range fetches.Records() {
			if err := handle(record); err != nil {
				return err
			}
			done = append(done, record)
			if read++; read == given.events {
				break
			}
		}
		if err := client.CommitRecords(ctx, done...); err != nil {
			fmt.Fprintf(os.Stderr, "the offsets were not committed, so the events may come again: %v\n", err)
		}
		if given.events > 0 && read >= given.events {
			return nil
		}
		client.AllowRebalance()
	}
}

// check asks Kafka for the topics, without creating them. A client would wait for a topic that does not exist.
func check(ctx context.Context, client *kgo.Client, given options, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	request := kmsg.NewMetadataRequest()
	for _, topic := range topics {
		name := topic
		one := kmsg.NewMetadataRequestTopic()
		one.Topic = &name
		request.Topics = append(request.Topics, one)
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("no Kafka answers at %s (%w); does it run, and is --bootstrap right?", given.bootstrap, err)
	}
	for at, topic := range answer.Topics {
		switch err := kerr.ErrorForCode(topic.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return fmt.Errorf("there is no topic %s; is --prefix right, and has the bridge run?", topics[at])
		case err != nil:
			return fmt.Errorf("%s can't be read: %w", topics[at], err)
		}
	}
	return nil
}

// handle deals with one event.
func handle(record *kgo.Record) error {
	headers := make(map[string]string, len(record.Headers))
	for _, header := range record.Headers {
		headers[header.Key] = string(header.Value)
	}
	switch headers["ce_type"] {
	case "gws.acknowledgement.v1":
		told := line{ID: headers["ce_id"], Key: string(record.Key)}
		if err := decode(record, &told.acknowledgement); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(told)
	case "gws.session.v1":
		var change session
		if err := decode(record, &change); err != nil {
			return err
		}
		if change.Change == "gap" {
			// Acknowledgements may be missing, and no event will ever tell: ask Web Services.
			fmt.Fprintf(os.Stderr, "gap of %s: nothing is known from %s to %s\n",
				change.Account, cmp.Or(change.From, "an unknown time"), change.To)
		}
	}
	return nil
}

// decode decodes the JSON of a value. With kafka.format = json-registry a frame of five bytes comes before it.
func decode(record *kgo.Record, into any) error {
	value := record.Value
	if bytes.HasPrefix(value, []byte{0}) && len(value) > 5 {
		value = value[5:]
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("%s/%d@%d is not JSON (%w); this example reads kafka.format = json or json-registry",
			record.Topic, record.Partition, record.Offset, err)
	}
	return nil
}
