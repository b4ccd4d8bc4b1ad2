package peer;

import static peer.Fields.integer;
import static peer.Fields.text;

import java.util.Map;

/** An OutboundRecordMessage with the fields that the bridge publishes. */
record Acknowledgement(
        String notificationType, String referenceId, Long recordHandle, String phoneNumber, Long applicationId,
        String campaignName, String callingList, String devicePath, String operation, String account,
        String receivedAt, Map<String, Object> original) implements Event {
    private static final Map<String, String> OPERATIONS = Map.of(
            "DoNotCallAcknowledge", "DoNotCallRecord",
            "RecordRejectAcknowledge", "RejectRecord",
            "RecordProcessedAcknowledge", "CompleteRecord",
            "UpdateCallCompletionStatsAcknowledge", "UpdateRecord",
            "ScheduledRecordRescheduleAcknowledge", "RescheduleRecord",
            "RecordRescheduleAcknowledge", "RescheduleRecord",
            "AddRecordAcknowledge", "AddRecord",
            "PreviewRecord", "GetPreviewRecord",
            "ChainedRecord", "GetChainedRecord",
            "ChainedRecordsDataEnd", "GetChainedRecord");

    static Acknowledgement of(Map<String, Object> data, String account, String receivedAt) {
        Map<?, ?> named = Fields.object(data, "record");
        String notificationType = text(data.get("notificationType"));
        return new Acknowledgement(
                notificationType,
                text(data.get("referenceId")),
                integer(named.get("recordHandle")),
                text(named.get("phoneNumber")),
                integer(named.get("applicationId")),
                text(named.get("campaignName")),
                text(named.get("callingList")),
                text(named.get("devicePath")),
                notificationType == null ? null : OPERATIONS.get(notificationType),
                account,
                receivedAt,
                data);
    }

    @Override
    public String recordKey() {
        return Fields.key(applicationId, campaignName, recordHandle, phoneNumber);
    }
}
