package webservices;

import java.io.IOException;
import java.io.Reader;
import java.util.LinkedHashMap;
import java.util.Map;
import org.eclipse.jetty.util.ajax.JSON;

/** JSON whose objects keep the order of their members. */
final class Json {
    private static final JSON ORDERED = new JSON() {
        @Override
        protected Map<String, Object> newMap() {
            return new LinkedHashMap<>();
        }
    };

    private Json() {}

    /**
     * Reads one JSON object.
     *
     * @throws IllegalArgumentException if the text is anything else
     */
    static Map<String, Object> object(Reader reader) throws IOException {
        Object value;
        try {
            value = ORDERED.parse(new JSON.ReaderSource(reader));
        } catch (IllegalStateException notJson) {
            throw new IllegalArgumentException("not JSON", notJson);
        }
        return object(value);
    }

    @SuppressWarnings("unchecked") // the parser makes Map<String, Object> of every JSON object
    static Map<String, Object> object(Object value) {
        if (value instanceof Map) {
            return (Map<String, Object>) value;
        }
        throw new IllegalArgumentException("not a JSON object");
    }

    static String text(Object value) {
        return ORDERED.toJSON(value);
    }
}
