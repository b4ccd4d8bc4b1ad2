package webservices;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The two messages that answer an accepted operation, in the shapes of the DoNotCallRecord page of the Web Services API. */
final class Messages {
    private Messages() {}

    /** handle: null when the operation named the record by its phone number, which then takes the handle's place. */
    static Map<String, Object> acknowledgement(String notification, Long handle, Object reference, Map<String, Object> body) {
        Map<String, Object> record = new LinkedHashMap<>();
        for (String name : List.of("devicePath", "callingList", "applicationId")) {
            putKnown(record, name, body.get(name));
        }
        if (handle == null) {
            putKnown(record, "phoneNumber", body.get("phoneNumber"));
        } else {
            record.put("recordHandle", handle);
        }
        putKnown(record, "campaignName", body.get("campaignName"));
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("record", record);
        data.put("notificationType", notification);
        data.put("messageType", "OutboundRecordMessage");
        putKnown(data, "referenceId", reference);
        return data;
    }

    static Map<String, Object> userEvent(String notification, Long handle, Map<String, Object> body) {
        Map<String, Object> userData = new LinkedHashMap<>();
        putKnown(userData, "GSW_CHAIN_ATTR", body.get("chainAttribute"));
        putKnown(userData, "GSW_APPLICATION_ID", body.get("applicationId"));
        putKnown(userData, "GSW_RECORD_HANDLE", handle);
        putKnown(userData, "GSW_USER_EVENT", notification);
        putKnown(userData, "GSW_CALLING_LIST", body.get("callingList"));
        putKnown(userData, "GSW_PHONE", body.get("phoneNumber"));
        putKnown(userData, "GSW_CAMPAIGN_NAME", body.get("campaignName"));
        Map<String, Object> processing = new LinkedHashMap<>();
        processing.put("serverGenerationTimestamp", System.currentTimeMillis());
        processing.put("nodeProcessingTimeNanos", 4_352_048);
        processing.put("serverProcessingTimeTotalMs", 5);
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("metrics", Map.of("eventProcessing", processing));
        data.put("userData", userData);
        String devicePath = String.valueOf(body.get("devicePath"));
        data.put("deviceId", devicePath.substring(devicePath.lastIndexOf('/') + 1));
        data.put("messageType", "DeviceUserEventMessage");
        return data;
    }

    private static void putKnown(Map<String, Object> target, String name, Object value) {
        if (value != null) {
            target.put(name, value);
        }
    }
}
