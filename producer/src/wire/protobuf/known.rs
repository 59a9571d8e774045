//! Files that schemas may import although no registry holds them: those that Confluent's serializers know by themselves. Written from the
//! field numbers of the formats (Confluent's `confluent/*.proto`, Google's common types); files of the references come first.

/// Their names and texts.
pub(super) const KNOWN: &[(&str, &str)] = &[
    ("confluent/meta.proto", include_str!("known/confluent/meta.proto")),
    ("confluent/type/decimal.proto", include_str!("known/confluent/type/decimal.proto")),
    ("google/type/calendar_period.proto", include_str!("known/google/type/calendar_period.proto")),
    ("google/type/color.proto", include_str!("known/google/type/color.proto")),
    ("google/type/date.proto", include_str!("known/google/type/date.proto")),
    ("google/type/datetime.proto", include_str!("known/google/type/datetime.proto")),
    ("google/type/dayofweek.proto", include_str!("known/google/type/dayofweek.proto")),
    ("google/type/decimal.proto", include_str!("known/google/type/decimal.proto")),
    ("google/type/expr.proto", include_str!("known/google/type/expr.proto")),
    ("google/type/fraction.proto", include_str!("known/google/type/fraction.proto")),
    ("google/type/interval.proto", include_str!("known/google/type/interval.proto")),
    ("google/type/latlng.proto", include_str!("known/google/type/latlng.proto")),
    ("google/type/localized_text.proto", include_str!("known/google/type/localized_text.proto")),
    ("google/type/money.proto", include_str!("known/google/type/money.proto")),
    ("google/type/month.proto", include_str!("known/google/type/month.proto")),
    ("google/type/phone_number.proto", include_str!("known/google/type/phone_number.proto")),
    ("google/type/postal_address.proto", include_str!("known/google/type/postal_address.proto")),
    ("google/type/quaternion.proto", include_str!("known/google/type/quaternion.proto")),
    ("google/type/timeofday.proto", include_str!("known/google/type/timeofday.proto")),
];
