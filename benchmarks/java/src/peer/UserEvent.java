package peer;

import static peer.Fields.integer;
import static peer.Fields.text;

import java.time.Instant;
import java.util.Map;

/** A DeviceUserEventMessage with the fields that the bridge publishes. */
record UserEvent(
        String userEvent, Long recordHandle, Long applicationId, String campaignName, String callingList,
        String phoneNumber, Long chainId, String chainAttribute, String deviceId, String generatedAt,
        Processing processing, Map<?, ?> userData, String account, String receivedAt, Map<String, Object> original)
        implements Event {
    /** The times that Web Services took. */
    record Processing(Long nodeNanos, Long serverMs) {}

    static UserEvent of(Map<String, Object> data, String account, String receivedAt) {
        Map<?, ?> userData = Fields.object(data, "userData");
        Map<?, ?> times = Fields.object(Fields.object(data, "metrics"), "eventProcessing");
        Long generated = integer(times.get("serverGenerationTimestamp"));
        return new UserEvent(
                text(userData.get("GSW_USER_EVENT")),
                integer(userData.get("GSW_RECORD_HANDLE")),
                integer(userData.get("GSW_APPLICATION_ID")),
                text(userData.get("GSW_CAMPAIGN_NAME")),
                text(userData.get("GSW_CALLING_LIST")),
                text(userData.get("GSW_PHONE")),
                integer(userData.get("GSW_CHAIN_ID")),
                text(userData.get("GSW_CHAIN_ATTR")),
                text(data.get("deviceId")),
                generated == null ? null : Instant.ofEpochMilli(generated).toString(),
                new Processing(
                        integer(times.get("nodeProcessingTimeNanos")), integer(times.get("serverProcessingTimeTotalMs"))),
                userData,
                account,
                receivedAt,
                data);
    }

    @Override
    public String recordKey() {
        return Fields.key(applicationId, campaignName, recordHandle, phoneNumber);
    }
}
