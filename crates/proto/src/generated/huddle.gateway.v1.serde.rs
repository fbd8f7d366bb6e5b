impl serde::Serialize for Accepted {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if self.seq != 0 {
            len += 1;
        }
        if !self.client_id.is_empty() {
            len += 1;
        }
        if self.duplicate {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Accepted", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if self.seq != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("seq", ToString::to_string(&self.seq).as_str())?;
        }
        if !self.client_id.is_empty() {
            struct_ser.serialize_field("client_id", &self.client_id)?;
        }
        if self.duplicate {
            struct_ser.serialize_field("duplicate", &self.duplicate)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Accepted {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "seq",
            "client_id",
            "clientId",
            "duplicate",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            Seq,
            ClientId,
            Duplicate,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "seq" => Ok(GeneratedField::Seq),
                            "clientId" | "client_id" => Ok(GeneratedField::ClientId),
                            "duplicate" => Ok(GeneratedField::Duplicate),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Accepted;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Accepted")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Accepted, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut seq__ = None;
                let mut client_id__ = None;
                let mut duplicate__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Seq => {
                            if seq__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seq"));
                            }
                            seq__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::ClientId => {
                            if client_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("clientId"));
                            }
                            client_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Duplicate => {
                            if duplicate__.is_some() {
                                return Err(serde::de::Error::duplicate_field("duplicate"));
                            }
                            duplicate__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Accepted {
                    team: team__.unwrap_or_default(),
                    seq: seq__.unwrap_or_default(),
                    client_id: client_id__.unwrap_or_default(),
                    duplicate: duplicate__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Accepted", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CaughtUp {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if self.seq != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.CaughtUp", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if self.seq != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("seq", ToString::to_string(&self.seq).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for CaughtUp {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "seq",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            Seq,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "seq" => Ok(GeneratedField::Seq),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = CaughtUp;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.CaughtUp")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<CaughtUp, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut seq__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Seq => {
                            if seq__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seq"));
                            }
                            seq__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(CaughtUp {
                    team: team__.unwrap_or_default(),
                    seq: seq__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.CaughtUp", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ClientFrame {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.id.is_empty() {
            len += 1;
        }
        if self.request.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.ClientFrame", len)?;
        if !self.id.is_empty() {
            struct_ser.serialize_field("id", &self.id)?;
        }
        if let Some(v) = self.request.as_ref() {
            match v {
                client_frame::Request::Hello(v) => {
                    struct_ser.serialize_field("hello", v)?;
                }
                client_frame::Request::Subscribe(v) => {
                    struct_ser.serialize_field("subscribe", v)?;
                }
                client_frame::Request::Unsubscribe(v) => {
                    struct_ser.serialize_field("unsubscribe", v)?;
                }
                client_frame::Request::Send(v) => {
                    struct_ser.serialize_field("send", v)?;
                }
                client_frame::Request::Ping(v) => {
                    struct_ser.serialize_field("ping", v)?;
                }
                client_frame::Request::ListEvents(v) => {
                    struct_ser.serialize_field("list_events", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ClientFrame {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "id",
            "hello",
            "subscribe",
            "unsubscribe",
            "send",
            "ping",
            "list_events",
            "listEvents",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Id,
            Hello,
            Subscribe,
            Unsubscribe,
            Send,
            Ping,
            ListEvents,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "id" => Ok(GeneratedField::Id),
                            "hello" => Ok(GeneratedField::Hello),
                            "subscribe" => Ok(GeneratedField::Subscribe),
                            "unsubscribe" => Ok(GeneratedField::Unsubscribe),
                            "send" => Ok(GeneratedField::Send),
                            "ping" => Ok(GeneratedField::Ping),
                            "listEvents" | "list_events" => Ok(GeneratedField::ListEvents),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ClientFrame;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.ClientFrame")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ClientFrame, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut id__ = None;
                let mut request__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Id => {
                            if id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("id"));
                            }
                            id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Hello => {
                            if request__.is_some() {
                                return Err(serde::de::Error::duplicate_field("hello"));
                            }
                            request__ = map_.next_value::<::std::option::Option<_>>()?.map(client_frame::Request::Hello)
;
                        }
                        GeneratedField::Subscribe => {
                            if request__.is_some() {
                                return Err(serde::de::Error::duplicate_field("subscribe"));
                            }
                            request__ = map_.next_value::<::std::option::Option<_>>()?.map(client_frame::Request::Subscribe)
;
                        }
                        GeneratedField::Unsubscribe => {
                            if request__.is_some() {
                                return Err(serde::de::Error::duplicate_field("unsubscribe"));
                            }
                            request__ = map_.next_value::<::std::option::Option<_>>()?.map(client_frame::Request::Unsubscribe)
;
                        }
                        GeneratedField::Send => {
                            if request__.is_some() {
                                return Err(serde::de::Error::duplicate_field("send"));
                            }
                            request__ = map_.next_value::<::std::option::Option<_>>()?.map(client_frame::Request::Send)
;
                        }
                        GeneratedField::Ping => {
                            if request__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ping"));
                            }
                            request__ = map_.next_value::<::std::option::Option<_>>()?.map(client_frame::Request::Ping)
;
                        }
                        GeneratedField::ListEvents => {
                            if request__.is_some() {
                                return Err(serde::de::Error::duplicate_field("listEvents"));
                            }
                            request__ = map_.next_value::<::std::option::Option<_>>()?.map(client_frame::Request::ListEvents)
;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(ClientFrame {
                    id: id__.unwrap_or_default(),
                    request: request__,
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.ClientFrame", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for CloseCode {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "CLOSE_CODE_UNSPECIFIED",
            Self::TooLarge => "CLOSE_CODE_TOO_LARGE",
            Self::Restart => "CLOSE_CODE_RESTART",
            Self::SlowConsumer => "CLOSE_CODE_SLOW_CONSUMER",
            Self::HeartbeatLost => "CLOSE_CODE_HEARTBEAT_LOST",
            Self::Internal => "CLOSE_CODE_INTERNAL",
            Self::Overloaded => "CLOSE_CODE_OVERLOADED",
            Self::ProtocolError => "CLOSE_CODE_PROTOCOL_ERROR",
            Self::Unauthenticated => "CLOSE_CODE_UNAUTHENTICATED",
            Self::HelloTimeout => "CLOSE_CODE_HELLO_TIMEOUT",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for CloseCode {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "CLOSE_CODE_UNSPECIFIED",
            "CLOSE_CODE_TOO_LARGE",
            "CLOSE_CODE_RESTART",
            "CLOSE_CODE_SLOW_CONSUMER",
            "CLOSE_CODE_HEARTBEAT_LOST",
            "CLOSE_CODE_INTERNAL",
            "CLOSE_CODE_OVERLOADED",
            "CLOSE_CODE_PROTOCOL_ERROR",
            "CLOSE_CODE_UNAUTHENTICATED",
            "CLOSE_CODE_HELLO_TIMEOUT",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = CloseCode;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "CLOSE_CODE_UNSPECIFIED" => Ok(CloseCode::Unspecified),
                    "CLOSE_CODE_TOO_LARGE" => Ok(CloseCode::TooLarge),
                    "CLOSE_CODE_RESTART" => Ok(CloseCode::Restart),
                    "CLOSE_CODE_SLOW_CONSUMER" => Ok(CloseCode::SlowConsumer),
                    "CLOSE_CODE_HEARTBEAT_LOST" => Ok(CloseCode::HeartbeatLost),
                    "CLOSE_CODE_INTERNAL" => Ok(CloseCode::Internal),
                    "CLOSE_CODE_OVERLOADED" => Ok(CloseCode::Overloaded),
                    "CLOSE_CODE_PROTOCOL_ERROR" => Ok(CloseCode::ProtocolError),
                    "CLOSE_CODE_UNAUTHENTICATED" => Ok(CloseCode::Unauthenticated),
                    "CLOSE_CODE_HELLO_TIMEOUT" => Ok(CloseCode::HelloTimeout),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Error {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.code != 0 {
            len += 1;
        }
        if !self.message.is_empty() {
            len += 1;
        }
        if self.retryable {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Error", len)?;
        if self.code != 0 {
            let v = ErrorCode::try_from(self.code)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.code)))?;
            struct_ser.serialize_field("code", &v)?;
        }
        if !self.message.is_empty() {
            struct_ser.serialize_field("message", &self.message)?;
        }
        if self.retryable {
            struct_ser.serialize_field("retryable", &self.retryable)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Error {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "code",
            "message",
            "retryable",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Code,
            Message,
            Retryable,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "code" => Ok(GeneratedField::Code),
                            "message" => Ok(GeneratedField::Message),
                            "retryable" => Ok(GeneratedField::Retryable),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Error;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Error")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Error, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut code__ = None;
                let mut message__ = None;
                let mut retryable__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Code => {
                            if code__.is_some() {
                                return Err(serde::de::Error::duplicate_field("code"));
                            }
                            code__ = Some(map_.next_value::<ErrorCode>()? as i32);
                        }
                        GeneratedField::Message => {
                            if message__.is_some() {
                                return Err(serde::de::Error::duplicate_field("message"));
                            }
                            message__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Retryable => {
                            if retryable__.is_some() {
                                return Err(serde::de::Error::duplicate_field("retryable"));
                            }
                            retryable__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Error {
                    code: code__.unwrap_or_default(),
                    message: message__.unwrap_or_default(),
                    retryable: retryable__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Error", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ErrorCode {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "ERROR_CODE_UNSPECIFIED",
            Self::Internal => "ERROR_CODE_INTERNAL",
            Self::Unavailable => "ERROR_CODE_UNAVAILABLE",
            Self::Overloaded => "ERROR_CODE_OVERLOADED",
            Self::NotYetStored => "ERROR_CODE_NOT_YET_STORED",
            Self::Malformed => "ERROR_CODE_MALFORMED",
            Self::UnknownRequest => "ERROR_CODE_UNKNOWN_REQUEST",
            Self::TooLarge => "ERROR_CODE_TOO_LARGE",
            Self::InvalidId => "ERROR_CODE_INVALID_ID",
            Self::InvalidBody => "ERROR_CODE_INVALID_BODY",
            Self::InvalidName => "ERROR_CODE_INVALID_NAME",
            Self::InvalidArgument => "ERROR_CODE_INVALID_ARGUMENT",
            Self::InvalidCursor => "ERROR_CODE_INVALID_CURSOR",
            Self::HelloRequired => "ERROR_CODE_HELLO_REQUIRED",
            Self::InvalidToken => "ERROR_CODE_INVALID_TOKEN",
            Self::TokenExpired => "ERROR_CODE_TOKEN_EXPIRED",
            Self::TokenRevoked => "ERROR_CODE_TOKEN_REVOKED",
            Self::NotFound => "ERROR_CODE_NOT_FOUND",
            Self::Forbidden => "ERROR_CODE_FORBIDDEN",
            Self::TeamArchived => "ERROR_CODE_TEAM_ARCHIVED",
            Self::TeamExists => "ERROR_CODE_TEAM_EXISTS",
            Self::LastOwner => "ERROR_CODE_LAST_OWNER",
            Self::Conflict => "ERROR_CODE_CONFLICT",
            Self::AlreadySubscribed => "ERROR_CODE_ALREADY_SUBSCRIBED",
            Self::NotSubscribed => "ERROR_CODE_NOT_SUBSCRIBED",
            Self::TooManySubscriptions => "ERROR_CODE_TOO_MANY_SUBSCRIPTIONS",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for ErrorCode {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "ERROR_CODE_UNSPECIFIED",
            "ERROR_CODE_INTERNAL",
            "ERROR_CODE_UNAVAILABLE",
            "ERROR_CODE_OVERLOADED",
            "ERROR_CODE_NOT_YET_STORED",
            "ERROR_CODE_MALFORMED",
            "ERROR_CODE_UNKNOWN_REQUEST",
            "ERROR_CODE_TOO_LARGE",
            "ERROR_CODE_INVALID_ID",
            "ERROR_CODE_INVALID_BODY",
            "ERROR_CODE_INVALID_NAME",
            "ERROR_CODE_INVALID_ARGUMENT",
            "ERROR_CODE_INVALID_CURSOR",
            "ERROR_CODE_HELLO_REQUIRED",
            "ERROR_CODE_INVALID_TOKEN",
            "ERROR_CODE_TOKEN_EXPIRED",
            "ERROR_CODE_TOKEN_REVOKED",
            "ERROR_CODE_NOT_FOUND",
            "ERROR_CODE_FORBIDDEN",
            "ERROR_CODE_TEAM_ARCHIVED",
            "ERROR_CODE_TEAM_EXISTS",
            "ERROR_CODE_LAST_OWNER",
            "ERROR_CODE_CONFLICT",
            "ERROR_CODE_ALREADY_SUBSCRIBED",
            "ERROR_CODE_NOT_SUBSCRIBED",
            "ERROR_CODE_TOO_MANY_SUBSCRIPTIONS",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = ErrorCode;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "ERROR_CODE_UNSPECIFIED" => Ok(ErrorCode::Unspecified),
                    "ERROR_CODE_INTERNAL" => Ok(ErrorCode::Internal),
                    "ERROR_CODE_UNAVAILABLE" => Ok(ErrorCode::Unavailable),
                    "ERROR_CODE_OVERLOADED" => Ok(ErrorCode::Overloaded),
                    "ERROR_CODE_NOT_YET_STORED" => Ok(ErrorCode::NotYetStored),
                    "ERROR_CODE_MALFORMED" => Ok(ErrorCode::Malformed),
                    "ERROR_CODE_UNKNOWN_REQUEST" => Ok(ErrorCode::UnknownRequest),
                    "ERROR_CODE_TOO_LARGE" => Ok(ErrorCode::TooLarge),
                    "ERROR_CODE_INVALID_ID" => Ok(ErrorCode::InvalidId),
                    "ERROR_CODE_INVALID_BODY" => Ok(ErrorCode::InvalidBody),
                    "ERROR_CODE_INVALID_NAME" => Ok(ErrorCode::InvalidName),
                    "ERROR_CODE_INVALID_ARGUMENT" => Ok(ErrorCode::InvalidArgument),
                    "ERROR_CODE_INVALID_CURSOR" => Ok(ErrorCode::InvalidCursor),
                    "ERROR_CODE_HELLO_REQUIRED" => Ok(ErrorCode::HelloRequired),
                    "ERROR_CODE_INVALID_TOKEN" => Ok(ErrorCode::InvalidToken),
                    "ERROR_CODE_TOKEN_EXPIRED" => Ok(ErrorCode::TokenExpired),
                    "ERROR_CODE_TOKEN_REVOKED" => Ok(ErrorCode::TokenRevoked),
                    "ERROR_CODE_NOT_FOUND" => Ok(ErrorCode::NotFound),
                    "ERROR_CODE_FORBIDDEN" => Ok(ErrorCode::Forbidden),
                    "ERROR_CODE_TEAM_ARCHIVED" => Ok(ErrorCode::TeamArchived),
                    "ERROR_CODE_TEAM_EXISTS" => Ok(ErrorCode::TeamExists),
                    "ERROR_CODE_LAST_OWNER" => Ok(ErrorCode::LastOwner),
                    "ERROR_CODE_CONFLICT" => Ok(ErrorCode::Conflict),
                    "ERROR_CODE_ALREADY_SUBSCRIBED" => Ok(ErrorCode::AlreadySubscribed),
                    "ERROR_CODE_NOT_SUBSCRIBED" => Ok(ErrorCode::NotSubscribed),
                    "ERROR_CODE_TOO_MANY_SUBSCRIPTIONS" => Ok(ErrorCode::TooManySubscriptions),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for Events {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if !self.events.is_empty() {
            len += 1;
        }
        if self.has_more {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Events", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if !self.events.is_empty() {
            struct_ser.serialize_field("events", &self.events)?;
        }
        if self.has_more {
            struct_ser.serialize_field("has_more", &self.has_more)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Events {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "events",
            "has_more",
            "hasMore",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            Events,
            HasMore,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "events" => Ok(GeneratedField::Events),
                            "hasMore" | "has_more" => Ok(GeneratedField::HasMore),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Events;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Events")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Events, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut events__ = None;
                let mut has_more__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Events => {
                            if events__.is_some() {
                                return Err(serde::de::Error::duplicate_field("events"));
                            }
                            events__ = Some(map_.next_value()?);
                        }
                        GeneratedField::HasMore => {
                            if has_more__.is_some() {
                                return Err(serde::de::Error::duplicate_field("hasMore"));
                            }
                            has_more__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Events {
                    team: team__.unwrap_or_default(),
                    events: events__.unwrap_or_default(),
                    has_more: has_more__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Events", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for GoAway {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.reconnect_in_ms != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.GoAway", len)?;
        if self.reconnect_in_ms != 0 {
            struct_ser.serialize_field("reconnect_in_ms", &self.reconnect_in_ms)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for GoAway {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "reconnect_in_ms",
            "reconnectInMs",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            ReconnectInMs,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "reconnectInMs" | "reconnect_in_ms" => Ok(GeneratedField::ReconnectInMs),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = GoAway;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.GoAway")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<GoAway, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut reconnect_in_ms__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::ReconnectInMs => {
                            if reconnect_in_ms__.is_some() {
                                return Err(serde::de::Error::duplicate_field("reconnectInMs"));
                            }
                            reconnect_in_ms__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(GoAway {
                    reconnect_in_ms: reconnect_in_ms__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.GoAway", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Hello {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.token.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Hello", len)?;
        if !self.token.is_empty() {
            struct_ser.serialize_field("token", &self.token)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Hello {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "token",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Token,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "token" => Ok(GeneratedField::Token),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Hello;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Hello")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Hello, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut token__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Token => {
                            if token__.is_some() {
                                return Err(serde::de::Error::duplicate_field("token"));
                            }
                            token__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Hello {
                    token: token__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Hello", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ListEvents {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if self.after != 0 {
            len += 1;
        }
        if self.limit != 0 {
            len += 1;
        }
        if self.min_seq != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.ListEvents", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if self.after != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("after", ToString::to_string(&self.after).as_str())?;
        }
        if self.limit != 0 {
            struct_ser.serialize_field("limit", &self.limit)?;
        }
        if self.min_seq != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("min_seq", ToString::to_string(&self.min_seq).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ListEvents {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "after",
            "limit",
            "min_seq",
            "minSeq",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            After,
            Limit,
            MinSeq,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "after" => Ok(GeneratedField::After),
                            "limit" => Ok(GeneratedField::Limit),
                            "minSeq" | "min_seq" => Ok(GeneratedField::MinSeq),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ListEvents;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.ListEvents")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ListEvents, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut after__ = None;
                let mut limit__ = None;
                let mut min_seq__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::After => {
                            if after__.is_some() {
                                return Err(serde::de::Error::duplicate_field("after"));
                            }
                            after__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::Limit => {
                            if limit__.is_some() {
                                return Err(serde::de::Error::duplicate_field("limit"));
                            }
                            limit__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::MinSeq => {
                            if min_seq__.is_some() {
                                return Err(serde::de::Error::duplicate_field("minSeq"));
                            }
                            min_seq__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(ListEvents {
                    team: team__.unwrap_or_default(),
                    after: after__.unwrap_or_default(),
                    limit: limit__.unwrap_or_default(),
                    min_seq: min_seq__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.ListEvents", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Ping {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("huddle.gateway.v1.Ping", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Ping {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Ok(GeneratedField::__SkipField__)
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Ping;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Ping")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Ping, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(Ping {
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Ping", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Pong {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("huddle.gateway.v1.Pong", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Pong {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Ok(GeneratedField::__SkipField__)
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Pong;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Pong")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Pong, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(Pong {
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Pong", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Send {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if !self.client_id.is_empty() {
            len += 1;
        }
        if !self.body.is_empty() {
            len += 1;
        }
        if !self.mentions.is_empty() {
            len += 1;
        }
        if self.entity.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Send", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if !self.client_id.is_empty() {
            struct_ser.serialize_field("client_id", &self.client_id)?;
        }
        if !self.body.is_empty() {
            struct_ser.serialize_field("body", &self.body)?;
        }
        if !self.mentions.is_empty() {
            struct_ser.serialize_field("mentions", &self.mentions)?;
        }
        if let Some(v) = self.entity.as_ref() {
            struct_ser.serialize_field("entity", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Send {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "client_id",
            "clientId",
            "body",
            "mentions",
            "entity",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            ClientId,
            Body,
            Mentions,
            Entity,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "clientId" | "client_id" => Ok(GeneratedField::ClientId),
                            "body" => Ok(GeneratedField::Body),
                            "mentions" => Ok(GeneratedField::Mentions),
                            "entity" => Ok(GeneratedField::Entity),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Send;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Send")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Send, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut client_id__ = None;
                let mut body__ = None;
                let mut mentions__ = None;
                let mut entity__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ClientId => {
                            if client_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("clientId"));
                            }
                            client_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Body => {
                            if body__.is_some() {
                                return Err(serde::de::Error::duplicate_field("body"));
                            }
                            body__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Mentions => {
                            if mentions__.is_some() {
                                return Err(serde::de::Error::duplicate_field("mentions"));
                            }
                            mentions__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Entity => {
                            if entity__.is_some() {
                                return Err(serde::de::Error::duplicate_field("entity"));
                            }
                            entity__ = map_.next_value()?;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Send {
                    team: team__.unwrap_or_default(),
                    client_id: client_id__.unwrap_or_default(),
                    body: body__.unwrap_or_default(),
                    mentions: mentions__.unwrap_or_default(),
                    entity: entity__,
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Send", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ServerFrame {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.reply_to.is_empty() {
            len += 1;
        }
        if self.content.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.ServerFrame", len)?;
        if !self.reply_to.is_empty() {
            struct_ser.serialize_field("reply_to", &self.reply_to)?;
        }
        if let Some(v) = self.content.as_ref() {
            match v {
                server_frame::Content::Error(v) => {
                    struct_ser.serialize_field("error", v)?;
                }
                server_frame::Content::Welcome(v) => {
                    struct_ser.serialize_field("welcome", v)?;
                }
                server_frame::Content::Subscribed(v) => {
                    struct_ser.serialize_field("subscribed", v)?;
                }
                server_frame::Content::Unsubscribed(v) => {
                    struct_ser.serialize_field("unsubscribed", v)?;
                }
                server_frame::Content::Accepted(v) => {
                    struct_ser.serialize_field("accepted", v)?;
                }
                server_frame::Content::Pong(v) => {
                    struct_ser.serialize_field("pong", v)?;
                }
                server_frame::Content::Event(v) => {
                    struct_ser.serialize_field("event", v)?;
                }
                server_frame::Content::CaughtUp(v) => {
                    struct_ser.serialize_field("caught_up", v)?;
                }
                server_frame::Content::Stored(v) => {
                    struct_ser.serialize_field("stored", v)?;
                }
                server_frame::Content::SubscriptionEnded(v) => {
                    struct_ser.serialize_field("subscription_ended", v)?;
                }
                server_frame::Content::TokenExpiring(v) => {
                    struct_ser.serialize_field("token_expiring", v)?;
                }
                server_frame::Content::GoAway(v) => {
                    struct_ser.serialize_field("go_away", v)?;
                }
                server_frame::Content::Events(v) => {
                    struct_ser.serialize_field("events", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ServerFrame {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "reply_to",
            "replyTo",
            "error",
            "welcome",
            "subscribed",
            "unsubscribed",
            "accepted",
            "pong",
            "event",
            "caught_up",
            "caughtUp",
            "stored",
            "subscription_ended",
            "subscriptionEnded",
            "token_expiring",
            "tokenExpiring",
            "go_away",
            "goAway",
            "events",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            ReplyTo,
            Error,
            Welcome,
            Subscribed,
            Unsubscribed,
            Accepted,
            Pong,
            Event,
            CaughtUp,
            Stored,
            SubscriptionEnded,
            TokenExpiring,
            GoAway,
            Events,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "replyTo" | "reply_to" => Ok(GeneratedField::ReplyTo),
                            "error" => Ok(GeneratedField::Error),
                            "welcome" => Ok(GeneratedField::Welcome),
                            "subscribed" => Ok(GeneratedField::Subscribed),
                            "unsubscribed" => Ok(GeneratedField::Unsubscribed),
                            "accepted" => Ok(GeneratedField::Accepted),
                            "pong" => Ok(GeneratedField::Pong),
                            "event" => Ok(GeneratedField::Event),
                            "caughtUp" | "caught_up" => Ok(GeneratedField::CaughtUp),
                            "stored" => Ok(GeneratedField::Stored),
                            "subscriptionEnded" | "subscription_ended" => Ok(GeneratedField::SubscriptionEnded),
                            "tokenExpiring" | "token_expiring" => Ok(GeneratedField::TokenExpiring),
                            "goAway" | "go_away" => Ok(GeneratedField::GoAway),
                            "events" => Ok(GeneratedField::Events),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ServerFrame;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.ServerFrame")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ServerFrame, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut reply_to__ = None;
                let mut content__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::ReplyTo => {
                            if reply_to__.is_some() {
                                return Err(serde::de::Error::duplicate_field("replyTo"));
                            }
                            reply_to__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Error => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("error"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Error)
;
                        }
                        GeneratedField::Welcome => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("welcome"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Welcome)
;
                        }
                        GeneratedField::Subscribed => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("subscribed"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Subscribed)
;
                        }
                        GeneratedField::Unsubscribed => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("unsubscribed"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Unsubscribed)
;
                        }
                        GeneratedField::Accepted => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("accepted"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Accepted)
;
                        }
                        GeneratedField::Pong => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("pong"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Pong)
;
                        }
                        GeneratedField::Event => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("event"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Event)
;
                        }
                        GeneratedField::CaughtUp => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("caughtUp"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::CaughtUp)
;
                        }
                        GeneratedField::Stored => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("stored"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Stored)
;
                        }
                        GeneratedField::SubscriptionEnded => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("subscriptionEnded"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::SubscriptionEnded)
;
                        }
                        GeneratedField::TokenExpiring => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokenExpiring"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::TokenExpiring)
;
                        }
                        GeneratedField::GoAway => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("goAway"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::GoAway)
;
                        }
                        GeneratedField::Events => {
                            if content__.is_some() {
                                return Err(serde::de::Error::duplicate_field("events"));
                            }
                            content__ = map_.next_value::<::std::option::Option<_>>()?.map(server_frame::Content::Events)
;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(ServerFrame {
                    reply_to: reply_to__.unwrap_or_default(),
                    content: content__,
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.ServerFrame", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Stored {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if self.seq != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Stored", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if self.seq != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("seq", ToString::to_string(&self.seq).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Stored {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "seq",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            Seq,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "seq" => Ok(GeneratedField::Seq),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Stored;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Stored")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Stored, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut seq__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Seq => {
                            if seq__.is_some() {
                                return Err(serde::de::Error::duplicate_field("seq"));
                            }
                            seq__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Stored {
                    team: team__.unwrap_or_default(),
                    seq: seq__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Stored", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Subscribe {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if self.after.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Subscribe", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if let Some(v) = self.after.as_ref() {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("after", ToString::to_string(&v).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Subscribe {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "after",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            After,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "after" => Ok(GeneratedField::After),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Subscribe;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Subscribe")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Subscribe, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut after__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::After => {
                            if after__.is_some() {
                                return Err(serde::de::Error::duplicate_field("after"));
                            }
                            after__ = 
                                map_.next_value::<::std::option::Option<::pbjson::private::NumberDeserialize<_>>>()?.map(|x| x.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Subscribe {
                    team: team__.unwrap_or_default(),
                    after: after__,
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Subscribe", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Subscribed {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if self.last_seq != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Subscribed", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if self.last_seq != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("last_seq", ToString::to_string(&self.last_seq).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Subscribed {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "last_seq",
            "lastSeq",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            LastSeq,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "lastSeq" | "last_seq" => Ok(GeneratedField::LastSeq),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Subscribed;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Subscribed")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Subscribed, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut last_seq__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::LastSeq => {
                            if last_seq__.is_some() {
                                return Err(serde::de::Error::duplicate_field("lastSeq"));
                            }
                            last_seq__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Subscribed {
                    team: team__.unwrap_or_default(),
                    last_seq: last_seq__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Subscribed", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for SubscriptionEnded {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        if self.error.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.SubscriptionEnded", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        if let Some(v) = self.error.as_ref() {
            struct_ser.serialize_field("error", v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for SubscriptionEnded {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
            "error",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            Error,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            "error" => Ok(GeneratedField::Error),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = SubscriptionEnded;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.SubscriptionEnded")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<SubscriptionEnded, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                let mut error__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Error => {
                            if error__.is_some() {
                                return Err(serde::de::Error::duplicate_field("error"));
                            }
                            error__ = map_.next_value()?;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(SubscriptionEnded {
                    team: team__.unwrap_or_default(),
                    error: error__,
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.SubscriptionEnded", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for TokenExpiring {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.time_ms != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.TokenExpiring", len)?;
        if self.time_ms != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("time_ms", ToString::to_string(&self.time_ms).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for TokenExpiring {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "time_ms",
            "timeMs",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            TimeMs,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "timeMs" | "time_ms" => Ok(GeneratedField::TimeMs),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = TokenExpiring;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.TokenExpiring")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<TokenExpiring, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut time_ms__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::TimeMs => {
                            if time_ms__.is_some() {
                                return Err(serde::de::Error::duplicate_field("timeMs"));
                            }
                            time_ms__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(TokenExpiring {
                    time_ms: time_ms__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.TokenExpiring", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Unsubscribe {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Unsubscribe", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Unsubscribe {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Unsubscribe;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Unsubscribe")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Unsubscribe, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Unsubscribe {
                    team: team__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Unsubscribe", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Unsubscribed {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.team.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Unsubscribed", len)?;
        if !self.team.is_empty() {
            struct_ser.serialize_field("team", &self.team)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Unsubscribed {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "team",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Team,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "team" => Ok(GeneratedField::Team),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Unsubscribed;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Unsubscribed")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Unsubscribed, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut team__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Team => {
                            if team__.is_some() {
                                return Err(serde::de::Error::duplicate_field("team"));
                            }
                            team__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Unsubscribed {
                    team: team__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Unsubscribed", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for Welcome {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.user.is_empty() {
            len += 1;
        }
        if self.token_expires_time_ms != 0 {
            len += 1;
        }
        if self.heartbeat_interval_ms != 0 {
            len += 1;
        }
        if self.frame_bytes_max != 0 {
            len += 1;
        }
        if self.subscriptions_max != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("huddle.gateway.v1.Welcome", len)?;
        if !self.user.is_empty() {
            struct_ser.serialize_field("user", &self.user)?;
        }
        if self.token_expires_time_ms != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("token_expires_time_ms", ToString::to_string(&self.token_expires_time_ms).as_str())?;
        }
        if self.heartbeat_interval_ms != 0 {
            struct_ser.serialize_field("heartbeat_interval_ms", &self.heartbeat_interval_ms)?;
        }
        if self.frame_bytes_max != 0 {
            struct_ser.serialize_field("frame_bytes_max", &self.frame_bytes_max)?;
        }
        if self.subscriptions_max != 0 {
            struct_ser.serialize_field("subscriptions_max", &self.subscriptions_max)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for Welcome {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "user",
            "token_expires_time_ms",
            "tokenExpiresTimeMs",
            "heartbeat_interval_ms",
            "heartbeatIntervalMs",
            "frame_bytes_max",
            "frameBytesMax",
            "subscriptions_max",
            "subscriptionsMax",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            User,
            TokenExpiresTimeMs,
            HeartbeatIntervalMs,
            FrameBytesMax,
            SubscriptionsMax,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "user" => Ok(GeneratedField::User),
                            "tokenExpiresTimeMs" | "token_expires_time_ms" => Ok(GeneratedField::TokenExpiresTimeMs),
                            "heartbeatIntervalMs" | "heartbeat_interval_ms" => Ok(GeneratedField::HeartbeatIntervalMs),
                            "frameBytesMax" | "frame_bytes_max" => Ok(GeneratedField::FrameBytesMax),
                            "subscriptionsMax" | "subscriptions_max" => Ok(GeneratedField::SubscriptionsMax),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = Welcome;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct huddle.gateway.v1.Welcome")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<Welcome, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut user__ = None;
                let mut token_expires_time_ms__ = None;
                let mut heartbeat_interval_ms__ = None;
                let mut frame_bytes_max__ = None;
                let mut subscriptions_max__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::User => {
                            if user__.is_some() {
                                return Err(serde::de::Error::duplicate_field("user"));
                            }
                            user__ = Some(map_.next_value()?);
                        }
                        GeneratedField::TokenExpiresTimeMs => {
                            if token_expires_time_ms__.is_some() {
                                return Err(serde::de::Error::duplicate_field("tokenExpiresTimeMs"));
                            }
                            token_expires_time_ms__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::HeartbeatIntervalMs => {
                            if heartbeat_interval_ms__.is_some() {
                                return Err(serde::de::Error::duplicate_field("heartbeatIntervalMs"));
                            }
                            heartbeat_interval_ms__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::FrameBytesMax => {
                            if frame_bytes_max__.is_some() {
                                return Err(serde::de::Error::duplicate_field("frameBytesMax"));
                            }
                            frame_bytes_max__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::SubscriptionsMax => {
                            if subscriptions_max__.is_some() {
                                return Err(serde::de::Error::duplicate_field("subscriptionsMax"));
                            }
                            subscriptions_max__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Welcome {
                    user: user__.unwrap_or_default(),
                    token_expires_time_ms: token_expires_time_ms__.unwrap_or_default(),
                    heartbeat_interval_ms: heartbeat_interval_ms__.unwrap_or_default(),
                    frame_bytes_max: frame_bytes_max__.unwrap_or_default(),
                    subscriptions_max: subscriptions_max__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("huddle.gateway.v1.Welcome", FIELDS, GeneratedVisitor)
    }
}
