package webservices;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * Switchable faults of the operations, one a line: name[:on[:times]], then seconds=, after= and delay= in any order, for
 * example "status-4:rest:2" or "acknowledgement-late:rest:delay=0.5". A fault passes over the first "after" operations, then
 * strikes "times" of them (all, if not given), and only within "seconds" of being added.
 */
final class Faults {
    static final Set<String> REFUSALS = Set.of("status-4", "status-20", "csrf-invalid", "forbidden-3", "forbidden-5");
    static final Set<String> ANSWERS =
            Set.of("acknowledgement-missing", "acknowledgement-doubled", "acknowledgement-late");
    static final Set<String> REFERENCES = Set.of("numeric-reference", "no-reference");
    static final Fault NONE = new Fault("none", Map.of());

    private static final List<String> POSITIONAL = List.of("on", "times");
    private static final Set<String> NAMED = Set.of("on", "times", "seconds", "after", "delay");

    private final List<Fault> armed = new ArrayList<>();
    private final Map<String, Long> struck = new TreeMap<>();

    /** Switches on one fault a line; all of them or, at an IllegalArgumentException, none. */
    synchronized int add(String text) {
        List<Fault> added = text.lines().map(String::trim).filter(line -> !line.isEmpty()).map(Faults::parse).toList();
        armed.addAll(added);
        return added.size();
    }

    synchronized boolean clear() {
        armed.clear();
        return true;
    }

    /** Switches all faults off, and forgets those that have struck. */
    synchronized void reset() {
        armed.clear();
        struck.clear();
    }

    /** Lets the oldest fault with one of these names strike. */
    synchronized Optional<Fault> strike(Set<String> names) {
        for (Iterator<Fault> each = armed.iterator(); each.hasNext();) {
            Fault fault = each.next();
            if (fault.isSpent()) {
                each.remove();
            } else if (names.contains(fault.name) && fault.strikes()) {
                struck.merge(fault.name, 1L, Long::sum);
                return Optional.of(fault);
            }
        }
        return Optional.empty();
    }

    synchronized Map<String, Object> state() {
        List<Map<String, String>> left = armed.stream().filter(fault -> !fault.isSpent())
                .map(fault -> Map.of("name", fault.name)).toList();
        return Map.of("armed", left, "struck", Map.copyOf(struck));
    }

    private static Fault parse(String line) {
        String[] parts = line.split(":", -1);
        if (!REFUSALS.contains(parts[0]) && !ANSWERS.contains(parts[0]) && !REFERENCES.contains(parts[0])) {
            throw new IllegalArgumentException("no such operation fault");
        }
        Map<String, String> fields = new HashMap<>();
        for (int index = 1; index < parts.length; index++) {
            String[] pair = parts[index].split("=", 2);
            String field = pair.length == 2 ? pair[0] : index <= POSITIONAL.size() ? POSITIONAL.get(index - 1) : "";
            if (!NAMED.contains(field)) {
                throw new IllegalArgumentException("a fault is name[:on[:times]], then fields of " + NAMED);
            }
            if (!parts[index].isEmpty()) {
                fields.put(field, pair[pair.length - 1]);
            }
        }
        if (!Set.of("rest", "any").contains(fields.getOrDefault("on", "any"))) {
            throw new IllegalArgumentException("operation faults strike on rest or any");
        }
        return new Fault(parts[0], fields);
    }

    /** One fault that is switched on. */
    static final class Fault {
        private final String name;
        private final double delay;
        private final double seconds;
        private final long added = System.nanoTime();
        private long passOver;
        private long left;

        private Fault(String name, Map<String, String> fields) {
            this.name = name;
            delay = Double.parseDouble(fields.getOrDefault("delay", "0"));
            seconds = Double.parseDouble(fields.getOrDefault("seconds", "Infinity"));
            passOver = Long.parseLong(fields.getOrDefault("after", "0"));
            left = fields.containsKey("times") ? Long.parseLong(fields.get("times")) : Long.MAX_VALUE;
        }

        String name() {
            return name;
        }

        /** How much later an acknowledgement comes, in seconds. */
        double delay() {
            return delay;
        }

        private boolean isSpent() {
            return left == 0 || (System.nanoTime() - added) / 1e9 >= seconds;
        }

        private boolean strikes() {
            if (passOver > 0) {
                passOver--;
                return false;
            }
            left--;
            return true;
        }
    }
}
