// Sends the messages of whatsapp_send.jsonl with @kapso/whatsapp-cloud-api and whatsapp-api-js, and
// lets them judge signatures: whatsapp.mjs FIXTURES, run by whatsapp.sh. One line of JSON for each
// message taken, {"peer", "name", "id"}, and for each verdict, {"peer", "signature", "verdict"};
// whatsapp.py compares. A message that a library cannot say is left out.
import { readFileSync } from "node:fs";
import { GraphApiError, WhatsAppClient } from "@kapso/whatsapp-cloud-api";
import { verifySignature } from "@kapso/whatsapp-cloud-api/server";
import { WhatsAppAPI } from "whatsapp-api-js";
import * as M from "whatsapp-api-js/messages";

const [folder] = process.argv.slice(2);
const standin = process.env.STANDIN;
const read = (name) => readFileSync(`${folder}/${name}`, "utf8").split("\n").filter(Boolean);
const cases = read("whatsapp_send.jsonl").map((line) => JSON.parse(line));
const tell = (line) => console.log(JSON.stringify(line));
const NUMBER = "1102";
const TO = "+447700900123";

// kapso: our own bodies, in its spelling, so that they pass its schemas.
const camel = (value) => {
    if (Array.isArray(value)) return value.map(camel);
    if (value === null || typeof value !== "object") return value;
    const name = (key) => key.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [name(key), camel(inner)]));
};
const kapso = new WhatsAppClient({ accessToken: "token", baseUrl: standin, graphVersion: "v25.0" });
const kapsoSenders = {
    text: "sendText", reaction: "sendReaction", image: "sendImage", video: "sendVideo", audio: "sendAudio",
    document: "sendDocument", sticker: "sendSticker", location: "sendLocation", contacts: "sendContacts",
    template: "sendTemplate", button: "sendInteractiveButtons", list: "sendInteractiveList",
    cta_url: "sendInteractiveCtaUrl",
};

function kapsoInput(body) {
    const object = body[body.type];
    if (body.type === "text") return camel(object);
    if (body.type !== "interactive") {
        const input = { [body.type]: camel(object) };
        if (body.type === "location") {
            input.location.latitude = Number(object.latitude);
            input.location.longitude = Number(object.longitude);
        }
        return input;
    }
    const { action } = object;
    const common = { bodyText: object.body.text, footerText: object.footer?.text, header: object.header };
    if (object.type === "button") {
        return { ...common, buttons: action.buttons.map((button) => button.reply) };
    }
    if (object.type === "list") return { ...common, buttonText: action.button, sections: action.sections };
    return { ...common, parameters: { displayText: action.parameters.display_text, url: action.parameters.url } };
}

for (const { name, body } of cases) {
    const kind = body.type === "interactive" ? body.interactive.type : body.type;
    const sender = kapsoSenders[kind];
    if (sender === undefined) continue;
    const envelope = {
        phoneNumberId: NUMBER, to: body.to, recipientType: body.recipient_type,
        contextMessageId: body.context?.message_id, bizOpaqueCallbackData: body.biz_opaque_callback_data,
    };
    const answer = await kapso.messages[sender]({ ...envelope, ...kapsoInput(body) });
    tell({ peer: "kapso", name, id: answer.messages[0].id });
}
await kapso.messages.markRead({ phoneNumberId: NUMBER, messageId: "wamid.HBgL" });
for (const [ending, code] of Object.entries({ "0001": 131047, "0002": 130429, "0004": 131000, "0005": 131056 })) {
    const refused = await kapso.messages.sendText({ phoneNumberId: NUMBER, to: `+44770090${ending}`, body: "x" }).catch((error) => error);
    if (!(refused instanceof GraphApiError) || refused.code !== code) throw new Error(`kapso understood ${refused} for ${code}`);
}

// whatsapp-api-js has its own classes, and graph.facebook.com in its code.
const redirected = (url, init) => fetch(String(url).replace("https://graph.facebook.com", standin), init);
const api = new WhatsAppAPI({
    token: "token", appSecret: "test_app_secret", webhookVerifyToken: "v", v: "v25.0",
    ponyfill: { fetch: redirected, subtle: crypto.subtle },
});
const row = ({ id, title, description }) => new M.Row(id, title, description);
const apiMessages = {
    text: ({ text }) => new M.Text(text.body, text.preview_url),
    reaction: ({ reaction }) => new M.Reaction(reaction.message_id, reaction.emoji),
    image: ({ image }) => new M.Image(image.id ?? image.link, image.id !== undefined, image.caption),
    video: ({ video }) => new M.Video(video.id, true, video.caption),
    document: ({ document }) => new M.Document(document.id, true, document.caption, document.filename),
    audio: ({ audio }) => new M.Audio(audio.id, true, audio.voice),
    sticker: ({ sticker }) => new M.Sticker(sticker.id, true),
    location: ({ location: place }) => new M.Location(Number(place.longitude), Number(place.latitude), place.name, place.address),
    button: ({ interactive: { action, body, header, footer } }) => new M.Interactive(
        new M.ActionButtons(...action.buttons.map(({ reply }) => new M.Button(reply.id, reply.title))),
        new M.Body(body.text),
        header && new M.Header(header.type === "text" ? header.text : new M.Image(header.image.link)),
        footer && new M.Footer(footer.text),
    ),
    list: ({ interactive: { action, body } }) => new M.Interactive(
        new M.ActionList(action.button, ...action.sections.map(({ title, rows }) => new M.ListSection(title, ...rows.map(row)))),
        new M.Body(body.text),
    ),
    cta_url: ({ interactive: { action: { parameters }, body } }) => new M.Interactive(
        new M.ActionCTA(parameters.display_text, parameters.url), new M.Body(body.text),
    ),
    location_request_message: ({ interactive: { body } }) => new M.Interactive(new M.ActionLocation(), new M.Body(body.text)),
    template: ({ template: { name, language, components } }) => new M.Template(
        name, new M.Language(language.code), new M.BodyComponent(...components[0].parameters.map(({ text }) => new M.BodyParameter(text))),
    ),
};
for (const { name, body } of cases) {
    const kind = body.type === "interactive" ? body.interactive.type : body.type;
    if (apiMessages[kind] === undefined) continue;
    const answer = await api.sendMessage(NUMBER, TO, apiMessages[kind](body), body.context?.message_id, body.biz_opaque_callback_data);
    if (answer.messages === undefined) throw new Error(`whatsapp-api-js, ${name}: ${JSON.stringify(answer)}`);
    tell({ peer: "whatsapp-api-js", name, id: answer.messages[0].id });
}

for (const line of read("whatsapp/signatures.tsv")) {
    const [file, header] = line.split("\t");
    if (!header?.startsWith("sha256=")) continue;
    const rawBody = readFileSync(`${folder}/whatsapp/${file}`);
    for (const [change, given] of Object.entries({ as_is: header, wrong: header.replace(/.$/, (last) => (last === "0" ? "1" : "0")) })) {
        const signature = `${file}:${change}`;
        const verdict = verifySignature({ appSecret: "test_app_secret", rawBody, signatureHeader: given });
        tell({ peer: "kapso", signature, verdict });
        const ours = await api.verifyRequestSignature?.(rawBody.toString(), given);
        if (ours !== undefined) tell({ peer: "whatsapp-api-js", signature, verdict: ours });
    }
}
