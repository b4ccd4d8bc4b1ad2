package peer;

/** The value of a record, as Jackson writes it. */
interface Event {
    /** The record's key. */
    String recordKey();
}
