//! Whether the platform would take a body, from Meta's pages and written without a look at the
//! server's own rules: two readings of the same pages find more than one.

use serde_json::Value;

/// A refusal: code and details.
pub type Wrong = (u32, String);

fn missing(what: &str) -> Wrong {
    (131_008, format!("Parameter {what} is required"))
}

fn invalid(what: &str, why: &str) -> Wrong {
    (131_009, format!("Parameter {what} is not valid: {why}"))
}

/// Whether the platform would show such a menu of commands.
pub fn menu(body: &Value) -> Result<(), String> {
    let commands = body["commands"].as_array().ok_or("commands must be an array")?;
    if commands.len() > 30 {
        return Err("at most 30 commands".to_owned());
    }
    for command in commands {
        let letters = |field: &str| command[field].as_str().unwrap_or_default().chars().count();
        let name = command["command_name"].as_str().unwrap_or_default();
        if !(1..=32).contains(&letters("command_name")) || name.starts_with('/') {
            return Err(format!("command_name {name:?} must have 1 to 32 characters and no slash"));
        }
        if !(1..=256).contains(&letters("command_description")) {
            return Err(format!("command_description of {name:?} must have 1 to 256 characters"));
        }
    }
    Ok(())
}

/// The recipient of a good body.
pub fn message(body: &Value) -> Result<String, Wrong> {
    if body["messaging_product"] != "whatsapp" {
        return Err((100, "messaging_product must be whatsapp".to_owned()));
    }
    let kind = body["recipient_type"].as_str().unwrap_or("individual");
    if !matches!(kind, "individual" | "group") {
        return Err(invalid("recipient_type", "individual or group"));
    }
    let to = body["to"].as_str().or_else(|| body["recipient"].as_str());
    let to = to.filter(|to| !to.is_empty()).ok_or_else(|| missing("to"))?;
    let name = body["type"].as_str().unwrap_or("text");
    let object = &body[name];
    if object.is_null() {
        return Err(missing(name));
    }
    match name {
        "text" => text(object, "body", 1, 4_096)?,
        "image" | "video" | "audio" | "document" | "sticker" => media(name, object)?,
        "reaction" => {
            need(object, "message_id")?;
            if !object["emoji"].is_string() {
                return Err(missing("emoji"));
            }
        }
        "location" => location(object)?,
        "contacts" => contacts(object)?,
        "interactive" => interactive(object)?,
        "template" => {
            need(object, "name")?;
            need(&object["language"], "code")?;
        }
        other => return Err((131_051, format!("Message type {other} is not supported"))),
    }
    if let Some(context) = body.get("context") {
        need(context, "message_id")?;
    }
    let callback = body["biz_opaque_callback_data"].as_str().unwrap_or("");
    if callback.chars().count() > 512 {
        return Err(invalid("biz_opaque_callback_data", "512 characters at most"));
    }
    Ok(to.to_owned())
}

fn need(object: &Value, name: &str) -> Result<(), Wrong> {
    let given = object[name].as_str().is_some_and(|text| !text.is_empty());
    if given { Ok(()) } else { Err(missing(name)) }
}

fn text(object: &Value, name: &str, least: usize, most: usize) -> Result<(), Wrong> {
    let count = object[name].as_str().ok_or_else(|| missing(name))?.chars().count();
    match (least..=most).contains(&count) {
        true => Ok(()),
        false => Err(invalid(name, &format!("{least} to {most} characters, not {count}"))),
    }
}

fn optional(object: &Value, name: &str, most: usize) -> Result<(), Wrong> {
    if object[name].is_null() { Ok(()) } else { text(object, name, 1, most) }
}

fn media(kind: &str, object: &Value) -> Result<(), Wrong> {
    if object["id"].is_string() == object["link"].is_string() {
        return Err((100, format!("{kind} needs one of id and link")));
    }
    if let Some(link) = object["link"].as_str()
        && !link.starts_with("http")
    {
        return Err(invalid("link", "not an address"));
    }
    if !object["caption"].is_null() && !matches!(kind, "image" | "video" | "document") {
        return Err((100, format!("Unexpected key \"caption\" on param {kind}")));
    }
    optional(object, "caption", 1_024)
}

fn location(object: &Value) -> Result<(), Wrong> {
    for (name, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        let given = &object[name];
        let degrees = given.as_f64().or_else(|| given.as_str()?.parse().ok());
        if !degrees.is_some_and(|degrees: f64| degrees.abs() <= most) {
            return Err(invalid(name, "degrees"));
        }
    }
    Ok(())
}

fn contacts(list: &Value) -> Result<(), Wrong> {
    let list =
        list.as_array().filter(|list| !list.is_empty()).ok_or_else(|| missing("contacts"))?;
    for contact in list {
        need(&contact["name"], "formatted_name")?;
        if contact["name"].as_object().is_none_or(|name| name.len() < 2) {
            return Err(missing("first_name"));
        }
    }
    Ok(())
}

fn interactive(object: &Value) -> Result<(), Wrong> {
    let kind = object["type"].as_str().unwrap_or("");
    let body_max = if kind == "list" { 4_096 } else { 1_024 };
    text(&object["body"], "text", 1, body_max)?;
    if !object["footer"].is_null() {
        text(&object["footer"], "text", 1, 60)?;
    }
    let header = &object["header"];
    if header["type"] == "text" {
        text(header, "text", 1, 60)?;
    } else if !header.is_null() && kind == "list" {
        return Err(invalid("header", "lists have texts only"));
    }
    let action = &object["action"];
    match kind {
        "button" => buttons(action),
        "list" => rows(action),
        "cta_url" => {
            let parameters = &action["parameters"];
            text(parameters, "display_text", 1, 20)?;
            need(parameters, "url")
        }
        "location_request_message" if action["name"] == "send_location" => Ok(()),
        "flow" | "product" | "product_list" | "catalog_message" => Ok(()),
        _ => Err(invalid("interactive.type", kind)),
    }
}

fn buttons(action: &Value) -> Result<(), Wrong> {
    let list = action["buttons"].as_array().ok_or_else(|| missing("buttons"))?;
    if !(1..=3).contains(&list.len()) {
        return Err(invalid("buttons", "1 to 3"));
    }
    let mut titles = Vec::new();
    for button in list {
        text(&button["reply"], "id", 1, 256)?;
        text(&button["reply"], "title", 1, 20)?;
        if button["type"] != "reply" || titles.contains(&&button["reply"]["title"]) {
            return Err(invalid("buttons", "titles must differ"));
        }
        titles.push(&button["reply"]["title"]);
    }
    Ok(())
}

fn rows(action: &Value) -> Result<(), Wrong> {
    text(action, "button", 1, 20)?;
    let sections = action["sections"].as_array().ok_or_else(|| missing("sections"))?;
    if !(1..=10).contains(&sections.len()) {
        return Err(invalid("sections", "1 to 10"));
    }
    let mut count = 0;
    for section in sections {
        if sections.len() > 1 {
            text(section, "title", 1, 24)?;
        }
        for row in section["rows"].as_array().ok_or_else(|| missing("rows"))? {
            text(row, "id", 1, 200)?;
            text(row, "title", 1, 24)?;
            optional(row, "description", 72)?;
            count += 1;
        }
    }
    if (1..=10).contains(&count) { Ok(()) } else { Err(invalid("rows", "1 to 10 in all")) }
}
