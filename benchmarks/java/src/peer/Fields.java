package peer;

import java.util.Map;

/** Reads values out of a message, which Web Services does not type strictly. */
final class Fields {
    private Fields() {}

    /** The object of that name; an empty one where there is none. */
    static Map<?, ?> object(Map<?, ?> data, String name) {
        return data.get(name) instanceof Map<?, ?> fields ? fields : Map.of();
    }

    static String text(Object value) {
        return value == null ? null : value.toString();
    }

    /** Web Services sends numbers as numbers or as text. */
    static Long integer(Object value) {
        if (value instanceof Number number) {
            return number.longValue();
        }
        return value instanceof String digits && !digits.isEmpty() ? Long.valueOf(digits) : null;
    }

    /** The key of an outbound record. */
    static String key(Long applicationId, String campaignName, Long recordHandle, String phoneNumber) {
        Object last = recordHandle == null ? phoneNumber : recordHandle;
        return applicationId + "/" + campaignName + "/" + last;
    }
}
