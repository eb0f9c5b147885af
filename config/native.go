package config

import (
	"fmt"
	"strconv"
	"strings"
)

// plainText turns a parser's value into the text form that the key's codec reads. For a key that holds
// text, a number or truth value is refused: YAML reads 0123 as 83 and nobody would notice.
func plainText(key Key, value any) (string, *flaw) {
	list, ok := value.([]any)
	if !ok {
		return scalarText(key, value)
	}
	if key.sep == "" {
		return "", &flaw{"is a list", "write one " + key.Type}
	}
	items := make([]string, len(list))
	for i, v := range list {
		s, f := scalarText(key, v)
		if f != nil {
			return "", f
		}
		if strings.Contains(s, key.sep) {
			return "", &flaw{fmt.Sprintf("has a list item %d with %q inside", i+1, key.sep), "write one item per list entry"}
		}
		items[i] = s
	}
	return strings.Join(items, key.sep), nil
}

// scalarText writes one native value as text. Truth values become true and false rather than 1 and 0, so
// that they do not pass for numbers.
func scalarText(key Key, value any) (string, *flaw) {
	var s string
	switch v := value.(type) {
	case string:
		return v, nil
	case nil:
		return "", &flaw{"has no value", "give it a value, or remove the line for the default"}
	case bool:
		s = strconv.FormatBool(v)
	case int:
		s = strconv.Itoa(v)
	case int64:
		s = strconv.FormatInt(v, 10)
	case uint64:
		s = strconv.FormatUint(v, 10)
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	case map[string]any:
		return "", &flaw{"is a section", "write one " + key.Type}
	case []any:
		return "", &flaw{"is a list in a list", "write one list"}
	default:
		return "", &flaw{"is a date or time", "write the value in quotes"}
	}
	if key.quoted {
		return s, &flaw{"is not text", "write it in quotes"}
	}
	return s, nil
}
